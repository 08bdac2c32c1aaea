/** Text that a device, a guest or a file brought along, made fit for people's eyes. Pure. */

/** Longer ones are cut; no model, serial or label of an honest device comes near. */
const LENGTH = 128;

/**
 * What no page, terminal or log shows as what it is: control characters, formatting and bidi marks, halves of pairs, private and
 * unassigned code points, line separators, what is invisible by default, and the blank of Braille.
 */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800\ufffd]/gu;

/** One letter may carry so many marks and no more: piled up, they cover the lines above and below. */
const PILES = /(\p{M}{4})\p{M}+/gu;

/** Without what is unseen, blanks in a row as one, none at the ends, of at most `length` code points. */
export const plain = (text: string, length = LENGTH): string => {
  // Bounded before anything else looks at it; what is stripped leaves room enough.
  const seen = text
    .slice(0, length * 8)
    .replace(/[\t\n\v\f\r]/g, ' ')
    .replace(UNSEEN, '')
    .replace(PILES, '$1')
    .replace(/\p{Zs}+/gu, ' ')
    .trim();
  return [...seen].slice(0, length).join('').trimEnd();
};

/** For keys and comparisons: plain, lower case, and with blanks as udev writes them. */
export const folded = (text: string): string => plain(text).toLowerCase().replaceAll(' ', '_');
