/** This program's version, as package.json has it. */
import { readFileSync } from 'node:fs';

/** The package's root is one level above the sources, two above `dist/agent/`. */
const PLACES = ['../package.json', '../../package.json'];

const read = (): string => {
  for (const place of PLACES) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as Record<string, unknown>;
      if (name === 'felhom' && typeof version === 'string') return version;
    } catch {
      // Not there: the next place.
    }
  }
  return 'unknown';
};

export const VERSION = read();
