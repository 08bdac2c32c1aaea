/** Crockford's base32, lower case: no letter that is mistaken for a digit. */

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** Five bits a character, the last one filled with zeros. */
export const base32 = (bytes: Uint8Array): string => {
  let out = '';
  let held = 0;
  let bits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += ALPHABET[(held >> bits) & 31];
      held &= (1 << bits) - 1;
    }
  }
  return bits > 0 ? out + ALPHABET[(held << (5 - bits)) & 31] : out;
};
