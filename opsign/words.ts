/** Sizes, times and foreign text as this program says them. Pure. */

const SHOWN_CHARS = 80;

/** Printable ASCII only: what came from a page or a drive moves no cursor, turns no line around and looks like nothing else. */
export const inert = (text: string): string =>
  Array.from(text, (char) => (/^[ -~]$/.test(char) ? char : `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`)).join('');

/** In quotes, and not endless. */
export const shown = (text: string): string => `"${inert(text.slice(0, SHOWN_CHARS))}${text.length > SHOWN_CHARS ? '...' : ''}"`;

const UNITS: [bytes: number, unit: string][] = [
  [1e12, 'TB'],
  [1e9, 'GB'],
  [1e6, 'MB'],
];

/** As drives are sold: `4.0 TB`. */
export const sizeText = (bytes: number | null): string => {
  if (bytes === null) return 'of unknown size';
  const [one, unit] = UNITS.find(([size]) => bytes >= size) ?? [1, 'bytes'];
  return one === 1 ? `${bytes} bytes` : `${(bytes / one).toFixed(1)} ${unit}`;
};

/** @param seconds since 1970. @returns `2026-11-22 13:55 UTC` */
export const timeText = (seconds: number): string =>
  new Date(seconds * 1000).toISOString().replace(/^(.*)T(\d\d:\d\d).*$/, '$1 $2 UTC');
