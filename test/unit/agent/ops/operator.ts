/** An operator with a key that no passphrase protects, for tests: what is signed is what felhom-opsign signs. */
import { generateKeyPairSync, sign } from 'node:crypto';
import type { OperatorKey } from '#opsign/keys';
import { signGrant } from '#opsign/sign';
import { type GrantClaims, grantText } from '#shared/grant';
import { keyIdOf, keyLine } from '#shared/operator-keys';

export interface Operator extends OperatorKey {
  /** For `opsign.keys`. */
  line(state?: 'active' | 'retired'): string;
  /** As felhom-opsign does, good for 24 h from `nowMs` on. */
  sign(host: string, durableId: string, nowMs?: number): Promise<string>;
  /** With any claims that a reader would take. */
  signClaims(claims: GrantClaims): string;
}

export const makeOperator = async (name = 'bela'): Promise<Operator> => {
  const { privateKey } = generateKeyPairSync('ed25519');
  const x = privateKey.export({ format: 'jwk' }).x ?? '';
  const kid = await keyIdOf(x);
  const key = { x, name, kid, privateKey };
  return {
    ...key,
    line: (state = 'active') => `${keyLine({ state, x, name })}\n`,
    sign: async (host, durableId, nowMs = Date.now()) => (await signGrant(key, { host, durableId }, nowMs)).text,
    signClaims: (claims) => {
      const text = grantText(claims, kid);
      return `${text}.${sign(null, Buffer.from(text), privateKey).toString('base64url')}`;
    },
  };
};
