/** The list of keys that may sign grants: one a line, `active|retired <public key> <name>`. Pure. */
import { calculateJwkThumbprint } from 'jose';
import { type GrantKey, isOperatorName, isPublicKey } from './grant.ts';

/** The whole list is refused; the message says which line is wrong, and nothing of what it holds. */
export class KeysError extends Error {
  override readonly name = 'KeysError';
}

/** `kid`: the JWK's thumbprint, RFC 7638 and RFC 8037, section 2; SHA-256, base64url. */
export const keyIdOf = (x: string): Promise<string> => calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x }, 'sha256');

export const keyLine = ({ state, x, name }: GrantKey): string => `${state} ${x} ${name}`;

const FORM =
  'It has to be "active" or "retired", the public key and its name, as "felhom-opsign pubkey" prints them; comments have lines of their own.';

const keyOf = (line: string, number: number): GrantKey => {
  const [state = '', x = '', name = '', ...more] = line.split(/[ \t]+/);
  const known = state === 'active' || state === 'retired';
  if (known && isPublicKey(x) && isOperatorName(name) && more.length === 0) return { state, x, name };
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
