/** Settings files: each key with its reader; everything that is wrong is found at once and said with the key's path. Pure: the caller parses YAML. */

export interface SettingProblem {
  /** `backup.max_age`, `apps[0].pre.argv`; empty for the whole file. */
  path: string;
  sentence: string;
}

/** Reads one value. A problem is noted and a stand-in returned, so that the rest is looked at too. */
export type Reader<T> = (value: unknown, path: string, problems: SettingProblem[]) => T;
export type Read<R> = R extends Reader<infer T> ? T : never;

export type Settled<T> = { ok: true; settings: T } | { ok: false; problems: SettingProblem[] };

/** Reads a whole file; an empty one (null) counts as one without keys. */
export const readSettings = <T>(reader: Reader<T>, value: unknown): Settled<T> => {
  const problems: SettingProblem[] = [];
  const settings = reader(value ?? {}, '', problems);
  return problems.length === 0 ? { ok: true, settings } : { ok: false, problems };
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Levenshtein's distance. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_none, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
    }
    row = next;
  }
  return row[b.length] ?? 0;
};

/** The known word that was probably meant; null when none is near. */
const nearest = (word: string, known: readonly string[]): string | null => {
  const [best] = known.map((one) => ({ one, far: distance(word, one) })).sort((a, b) => a.far - b.far);
  return best && best.far <= Math.max(2, Math.floor(best.one.length / 3)) ? best.one : null;
};

const unknownKey = (key: string, known: readonly string[]): string => {
  const meant = nearest(key, known);
  return `there is no such key; ${meant ? `did you mean "${meant}"?` : `known here: ${known.join(', ')}`}`;
};

const below = (path: string, key: string): string => (path === '' ? key : `${path}.${key}`);

/** A mapping with exactly these keys. */
export const section =
  <F extends Record<string, Reader<unknown>>>(fields: F): Reader<{ [K in keyof F]: Read<F[K]> }> =>
  (value, path, problems) => {
    const given = isRecord(value) ? value : {};
    if (!isRecord(value)) problems.push({ path, sentence: 'must be a mapping of keys to values' });
    for (const key of Object.keys(given)) {
      if (!Object.hasOwn(fields, key)) {
        problems.push({ path: below(path, key), sentence: unknownKey(key, Object.keys(fields)) });
      }
    }
    const read = Object.entries(fields).map(([key, reader]) => [key, reader(given[key], below(path, key), problems)]);
    return Object.fromEntries(read) as { [K in keyof F]: Read<F[K]> };
  };

/** A mapping whose keys depend on what one of them says. */
export const byKey =
  <F extends Record<string, Reader<unknown>>>(key: string, variants: F): Reader<Read<F[keyof F]>> =>
  (value, path, problems) => {
    const choose = oneOf(Object.keys(variants) as (keyof F & string)[]);
    const given = isRecord(value) ? value[key] : undefined;
    const known = typeof given === 'string' && Object.hasOwn(variants, given);
    const chosen = known || !isRecord(value) ? given : choose(given, below(path, key), problems);
    const reader = variants[chosen as keyof F] ?? (Object.values(variants)[0] as Reader<unknown>);
    // Of an unknown variant no other key can be judged.
    return reader(value, path, known || !isRecord(value) ? problems : []) as Read<F[keyof F]>;
  };

/** The value, or `fallback` where the key is left out. */
export const optional =
  <T>(reader: Reader<T>, fallback: T): Reader<T> =>
  (value, path, problems) =>
    value === undefined || value === null ? fallback : reader(value, path, problems);

export const listOf =
  <T>(reader: Reader<T>, { atLeast = 0, atMost }: { atLeast?: number; atMost?: number } = {}): Reader<T[]> =>
  (value, path, problems) => {
    if (!Array.isArray(value) || value.length < atLeast) {
      problems.push({ path, sentence: atLeast > 0 ? `must be a list with at least ${atLeast} entry` : 'must be a list' });
      return [];
    }
    if (atMost !== undefined && value.length > atMost) {
      problems.push({ path, sentence: `has ${value.length} entries, and may have ${atMost} at the most` });
      return [];
    }
    return value.map((one, index) => reader(one, `${path}[${index}]`, problems));
  };

/** Text for which `accepts` holds; `wants` says in words what is accepted. */
export const text =
  (wants: string, accepts: (value: string) => boolean): Reader<string> =>
  (value, path, problems) => {
    if (typeof value === 'string' && accepts(value)) return value;
    problems.push({ path, sentence: value === undefined ? `is missing; it must be ${wants}` : `must be ${wants}` });
    return '';
  };

export const absolutePath: Reader<string> = text(
  'an absolute path, such as /etc/felhom/file',
  (value) => value.startsWith('/') && !value.includes('\0'),
);

export const oneOf =
  <const T extends string>(choices: readonly T[]): Reader<T> =>
  (value, path, problems) => {
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    const meant = typeof value === 'string' ? nearest(value, choices) : null;
    const hint = meant ? `; did you mean "${meant}"?` : '';
    problems.push({ path, sentence: `must be ${choices.map((choice) => `"${choice}"`).join(' or ')}${hint}` });
    return choices[0] as T;
  };

/** A whole number within bounds. */
export const integer =
  (least: number, most: number): Reader<number> =>
  (value, path, problems) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    problems.push({ path, sentence: `must be a whole number from ${least} to ${most}, without quotes` });
    return least;
  };

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30s`, `5m`, `36h`, `7d` in milliseconds; null for anything else, a bare number included. */
export const parseDuration = (value: unknown): number | null => {
  const [, count, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(typeof value === 'string' ? value : '') ?? [];
  return count === undefined ? null : Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS];
};

/** A duration within bounds, both written as a person would write them. */
export const duration =
  (least: string, most: string): Reader<number> =>
  (value, path, problems) => {
    const ms = parseDuration(value);
    const within = ms !== null && ms >= (parseDuration(least) ?? 0) && ms <= (parseDuration(most) ?? 0);
    if (within) return ms;
    problems.push({ path, sentence: `must be a duration from ${least} to ${most}, such as 30s or 5m` });
    return 0;
  };
