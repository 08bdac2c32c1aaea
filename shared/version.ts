/** This program's version, as package.json has it. */

/** The package's root is one or two levels above a program's folder in the sources, one more in `dist/`. */
const PLACES = ['../package.json', '../../package.json', '../../../package.json'];

/** @param base `import.meta.url` of a file that lies in the program's own folder. */
export const versionFrom = (base: string, read: (place: URL) => string): string => {
  for (const place of PLACES) {
    try {
      const { name, version } = JSON.parse(read(new URL(place, base))) as Record<string, unknown>;
      if (name === 'felhom' && typeof version === 'string') return version;
    } catch {
      // Not there: the next place.
    }
  }
  return 'unknown';
};
