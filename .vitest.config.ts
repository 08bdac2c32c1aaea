import { defineConfig } from 'vitest/config';

/** Where .ci/run wants the counts as JSON beside what a person reads. */
const report = process.env.FELHOM_TEST_REPORT;

// biome-ignore lint/style/noDefaultExport: what Vitest reads
export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'default'] } },
  test: {
    include: ['test/{unit,contract,system,e2e,chaos}/**/*.test.ts'],
    globalSetup: ['test/templates.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Half of the time a test file waits: for leases to end, freezes, servers to start. More at once starve each other of two cores.
    maxWorkers: 2,
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
});
