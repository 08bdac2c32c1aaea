import { defineConfig } from 'vitest/config';

/** Where .ci/run wants the counts as JSON beside what a person reads. */
const report = process.env.FELHOM_TEST_REPORT;

/** Loop devices, mounts and containers of the whole machine: side by side they keep each other's drives in use. */
const DRIVES = ['test/system/drives/**/*.test.ts', 'test/e2e/demo*.test.ts'];
const ALL = ['test/{unit,contract,system,e2e,chaos}/**/*.test.ts'];

// biome-ignore lint/style/noDefaultExport: what Vitest reads
export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'default'] } },
  test: {
    globalSetup: ['test/templates.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Half of the time a test file waits: for leases to end, freezes, servers to start. More at once starve each other of two cores.
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'all but drives', include: ALL, exclude: DRIVES, sequence: { groupOrder: 0 } } },
      { extends: true, test: { name: 'drives', include: DRIVES, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
});
