/** The list of keys that may sign grants: one a line, `active|retired <public key> <name>`. Pure. */
import { base64url, calculateJwkThumbprint } from 'jose';
import { type GrantKey, isOperatorName, isPublicKey } from './grant.ts';

/** The whole list is refused; the message says which line is wrong, and nothing of what it holds. */
export class KeysError extends Error {
  override readonly name = 'KeysError';
}

/** `kid`: the JWK's thumbprint, RFC 7638 and RFC 8037, section 2; SHA-256, base64url. */
export const keyIdOf = (x: string): Promise<string> => calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x }, 'sha256');

export const keyLine = ({ state, x, name }: GrantKey): string => `${state} ${x} ${name}`;

/**
 * Keys with which anybody can sign without a private key, and which libraries accept: points of small order (libsodium,
 * ge25519_has_small_order), as y without the sign of x. The first one is 43 times the letter A, as somebody may write for "to be filled in".
 */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
];

const signsForAnybody = (x: string): boolean => {
  const bytes = base64url.decode(x);
  const y = Array.from(bytes, (byte, index) => (index === bytes.length - 1 ? byte & 0x7f : byte));
  return SMALL_ORDER.includes(y.map((byte) => byte.toString(16).padStart(2, '0')).join(''));
};

const FORM =
  'It has to be "active" or "retired", the public key and its name, as "felhom-opsign pubkey" prints them; comments have lines of their own.';

const keyOf = (line: string, number: number): GrantKey => {
  const [state = '', x = '', name = '', ...more] = line.split(/[ \t]+/);
  const known = state === 'active' || state === 'retired';
  if (known && isPublicKey(x) && !signsForAnybody(x) && isOperatorName(name) && more.length === 0) return { state, x, name };
  throw new KeysError(`Line ${number} of the list of keys is not one. ${FORM}`);
};

/** By `kid`. Of two lines for one key, one of them retired, that one counts. Rejects (`KeysError`). */
export const readKeys = async (text: string): Promise<ReadonlyMap<string, GrantKey>> => {
  const keys = new Map<string, GrantKey>();
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/[ \t\r]+$/, '').replace(/^[ \t]+/, '');
    if (line === '' || line.startsWith('#')) continue;
    const key = keyOf(line, index + 1);
    const kid = await keyIdOf(key.x);
    if (keys.get(kid)?.state !== 'retired') keys.set(kid, key);
  }
  return keys;
};
