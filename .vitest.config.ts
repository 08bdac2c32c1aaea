import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: what Vitest reads
export default defineConfig({
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    include: ['test/{unit,contract,system,e2e,chaos,soak}/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
});
