/** Signing one grant. Pure but for random numbers. */
import { randomBytes, sign } from 'node:crypto';
import { GRANT_SECONDS, type GrantClaims, grantText, readGrant } from '#shared/grant';
import type { OperatorKey } from './keys.ts';

const JTI_BYTES = 16;

/** What is permitted: the wipe of one drive on one host. */
export interface Wish {
  /** `host_scope` of the host. */
  host: string;
  /** Of the pending operation. */
  durableId: string;
}

export interface SignedGrant {
  /** A compact JWS, without an end of line. */
  text: string;
  claims: GrantClaims;
}

/** Good for 24 h from now on. Rejects (`GrantError`) for what no host would accept: the strict reader reads it before anybody else does. */
export const signGrant = async (key: OperatorKey, { host, durableId }: Wish, nowMs: number): Promise<SignedGrant> => {
  const { privateKey, x, kid, name } = key;
  const iat = Math.floor(nowMs / 1000);
  const jti = randomBytes(JTI_BYTES).toString('base64url');
  const claims: GrantClaims = { op: 'storage_wipe', host, durable_id: durableId, iat, exp: iat + GRANT_SECONDS, jti, sub: name };
  const signed = grantText(claims, kid);
  const text = `${signed}.${sign(null, Buffer.from(signed, 'ascii'), privateKey).toString('base64url')}`;
  await readGrant(text, (asked) => (asked === kid ? { x, name, state: 'active' } : null));
  return { text, claims };
};
