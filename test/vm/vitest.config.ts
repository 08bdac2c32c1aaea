import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: what Vitest reads
export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'default'] } },
  test: {
    include: ['test/vm/*.test.ts'],
    // Nobody knows how busy this machine is; the machine in it has its own clock.
    testTimeout: 1_800_000,
    hookTimeout: 1_800_000,
    pool: 'forks',
    // After a failure the machine is not in the state that the next case expects.
    bail: process.env.FELHOM_VM_GO_ON ? 0 : 1,
    reporters: ['verbose'],
  },
});
