/** Set-up of a whole test run: where the first test that needs a new data directory of a database server leaves it for the others. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// biome-ignore lint/style/noDefaultExport: what Vitest calls before the first test, and whose result it calls after the last
export default (): (() => void) => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-templates-'));
  process.env.FELHOM_TEST_TEMPLATES = dir;
  return () => rmSync(dir, { recursive: true, force: true });
};
