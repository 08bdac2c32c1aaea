import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: what Vitest reads
export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'default'] } },
  test: {
    include: ['test/vm/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // After a failure the machine is not in the state that the next case expects.
    bail: process.env.FELHOM_VM_GO_ON ? 0 : 1,
    reporters: ['verbose'],
  },
});
