import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Where .ci/run wants the counts as JSON beside what a person reads. */
const report = process.env.FELHOM_TEST_REPORT;

/** Loop devices, mounts and containers of the whole machine: side by side they keep each other's drives in use. */
const DRIVES = [
  'test/system/{drives/**/*,btrfs-cut,prechecks}.test.ts',
  'test/e2e/{demo*,consistency*}.test.ts',
  'test/chaos/frozen-disk.test.ts',
];
const ALL = ['test/{unit,contract,system,e2e,chaos}/**/*.test.ts'];

/** Files that wait for each other (one-at-a-time.ts) are spread among those that do not, so that few workers ever wait. */
class Spread extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const [waiting, others] = [true, false].map((wanted) =>
      sorted.filter(({ project }) => (project.name === 'drives') === wanted),
    );
    if (waiting === undefined || others === undefined) return sorted;
    const every = Math.max(1, Math.floor(others.length / (waiting.length + 1)));
    return [...others.flatMap((file, at) => (at % every === 0 ? [...waiting.splice(0, 1), file] : [file])), ...waiting];
  }
}

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
    sequence: { sequencer: Spread },
    projects: [
      { extends: true, test: { name: 'all but drives', include: ALL, exclude: DRIVES } },
      { extends: true, test: { name: 'drives', include: DRIVES, setupFiles: ['test/system/drives/one-at-a-time.ts'] } },
    ],
    reporters: report ? ['default', ['json', { outputFile: report }]] : ['default'],
  },
});
