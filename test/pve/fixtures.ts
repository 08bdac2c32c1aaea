/** Where the recorded facts lie, from the sources and from `dist/` alike. */

import { existsSync, readFileSync } from 'node:fs';

const CANDIDATES = ['../fixtures/pve/', '../../../test/fixtures/pve/'];

export const fixturePath = (name: string): URL => {
  const found = CANDIDATES.map((base) => new URL(base + name, import.meta.url)).find((url) => existsSync(url));
  if (!found) throw new Error(`no fixture ${name}`);
  return found;
};

export const readFixture = (name: string): string => readFileSync(fixturePath(name), 'utf8');
