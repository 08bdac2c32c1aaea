/** A smartctl document, whatever its shape: nothing here throws, what is not there is null. Pure. */

/** As `JSON.parse` gives it, of any shape. */
export type Json = unknown;

/** A member, member of a member …; undefined where the way ends early. */
export const at = (document: Json, ...path: readonly (string | number)[]): Json =>
  path.reduce<Json>(
    (inner, key) =>
      typeof inner === 'object' && inner !== null && Object.hasOwn(inner, key) ? Reflect.get(inner, key) : undefined,
    document,
  );

export const numberAt = (document: Json, ...path: readonly (string | number)[]): number | null => {
  const value = at(document, ...path);
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
};

/** Of what is drives' and bridges' own, only what a terminal or a page cannot misread, and not much of it. */
export const plain = (text: string): string =>
  text
    .replace(/[^\x21-\x7e]+/g, ' ')
    .trim()
    .slice(0, 160);

export const textAt = (document: Json, ...path: readonly (string | number)[]): string => {
  const value = at(document, ...path);
  return typeof value === 'string' ? plain(value) : '';
};

export const listAt = (document: Json, ...path: readonly (string | number)[]): readonly Json[] => {
  const value = at(document, ...path);
  return Array.isArray(value) ? value.slice(0, 1000) : [];
};

const parsed = (text: string): Json => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Where the object that begins at `start` ends; -1 where it does not. */
const endOfObject = (text: string, start: number): number => {
  let depth = 0;
  let quoted = false;
  for (let index = start; index < text.length; index += 1) {
    const char = text[index];
    if (quoted) {
      if (char === '\\') index += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{') depth += 1;
    else if (char === '}') {
      depth -= 1;
      if (depth === 0) return index + 1;
    }
  }
  return -1;
};

/** The document in what smartctl wrote, or in a file that somebody saved with lines around it; undefined where there is none. */
export const documentIn = (text: string): Json => {
  const whole = parsed(text);
  if (whole !== undefined) return whole;
  const start = text.indexOf('{');
  const end = start < 0 ? -1 : endOfObject(text, start);
  return end < 0 ? undefined : parsed(text.slice(start, end));
};

/** smartctl's own words, those that name a fault first. */
export const messagesOf = (document: Json): string[] =>
  listAt(document, 'smartctl', 'messages')
    .toSorted((one, other) => Number(at(other, 'severity') === 'error') - Number(at(one, 'severity') === 'error'))
    .map((message) => textAt(message, 'string'))
    .filter((message) => message !== '');

/** A bit mask, smartctl(8), EXIT STATUS; 0 where the document has none. */
export const exitOf = (document: Json): number => {
  const exit = numberAt(document, 'smartctl', 'exit_status') ?? 0;
  return Number.isInteger(exit) && exit >= 0 && exit <= 255 ? exit : 0;
};
