/** The schema's Perl patterns as JavaScript ones. */

const cache = new Map<string, RegExp>();

const translate = (pattern: string): { source: string; flags: string } => {
  let flags = 's';
  const source = pattern
    .replace(/\(\?\^([a-z]*):/g, (_whole, letters: string) => {
      if (letters.includes('i')) flags = 'si';
      return '(?:';
    })
    .replace(/\{,(\d+)\}/g, '{0,$1}');
  return { source, flags };
};

/** Proxmox applies a pattern as `^$pattern$` without grouping it, so a top-level `|` matches more loosely than it reads. */
export const perlPattern = (pattern: string): RegExp => {
  let compiled = cache.get(pattern);
  if (!compiled) {
    const { source, flags } = translate(pattern);
    compiled = new RegExp(`^${source}$`, flags);
    cache.set(pattern, compiled);
  }
  return compiled;
};
