/** The enrolled guests and their tokens as every request finds them: in memory, as the database has them. The agent is the only writer. */
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { SCOPES, type Scope } from '#shared/ids';
import type { Store } from '../ports/store.ts';
import { type Bucket, fullBucket, type SeenInstance } from './limits.ts';

export interface Token {
  readonly hash: Buffer;
  readonly guest: Guest;
  state: 'active' | 'superseded' | 'revoked';
  /** Of a superseded one: the end of its overlap. Of a revoked one: when that was. */
  validUntil: number | null;
  readonly bucket: Bucket;
  readonly streams: Set<(why: FelhomError) => void>;
  instance: SeenInstance | null;
}

export interface Guest {
  readonly vmid: number;
  readonly enrolledAt: number;
  readonly scopes: readonly Scope[];
  readonly tokens: Set<Token>;
  lastSeenAt: number | null;
}

/** So long a token that was replaced or revoked is still told so, and not merely that it is unknown. */
const REMEMBER_MS = 400 * 86_400_000;

export const revoked = (): FelhomError =>
  new FelhomError('token-revoked', "This guest's token was revoked on the host. Have the operator enrol the guest again.");

export const superseded = (): FelhomError =>
  new FelhomError('token-superseded', 'This token was replaced by a newer one, which the operator gave to this guest.');

export interface RegistryPorts {
  store: Store;
  clock: Clock;
  limits: () => { requestsPerSecond: number };
}

export type Registry = Awaited<ReturnType<typeof loadRegistry>>;

export const loadRegistry = async ({ store, clock, limits }: RegistryPorts) => {
  const guests = new Map<number, Guest>();
  /** By the hash's hex digits: looking up a hash tells an attacker nothing about the secret. */
  const tokens = new Map<string, Token>();

  const remember = (guest: Guest, hash: Buffer, state: Token['state'], validUntil: number | null): void => {
    const bucket = fullBucket(limits().requestsPerSecond, clock.monotonic());
    const token: Token = { hash, guest, state, validUntil, bucket, streams: new Set(), instance: null };
    guest.tokens.add(token);
    tokens.set(hash.toString('hex'), token);
  };

  const load = async (): Promise<void> => {
    await store.write({
      sql: "DELETE FROM tokens WHERE state <> 'active' AND valid_until < ?",
      values: [clock.now() - REMEMBER_MS],
    });
    const guestRows = await store.all<{ vmid: number; enrolled_at: number; scopes: string }>(
      'SELECT vmid, enrolled_at, scopes FROM guests',
    );
    for (const { vmid, enrolled_at, scopes } of guestRows) {
      const known = (JSON.parse(scopes) as string[]).filter((scope): scope is Scope => SCOPES.some((one) => one === scope));
      guests.set(vmid, { vmid, enrolledAt: enrolled_at, scopes: known, tokens: new Set(), lastSeenAt: null });
    }
    const tokenRows = await store.all<{ hash: Uint8Array; vmid: number; state: Token['state']; valid_until: number | null }>(
      'SELECT hash, vmid, state, valid_until FROM tokens',
    );
    for (const { hash, vmid, state, valid_until } of tokenRows) {
      const guest = guests.get(vmid);
      if (guest !== undefined) remember(guest, Buffer.from(hash), state, valid_until);
    }
  };
  await load();

  const isLive = (token: Token): boolean =>
    token.state === 'active' || (token.state === 'superseded' && token.validUntil !== null && clock.now() < token.validUntil);

  const isEnrolled = (guest: Guest | undefined): boolean => guest !== undefined && [...guest.tokens].some(isLive);

  const tokenOf = (hash: Buffer): Token | undefined => tokens.get(hash.toString('hex'));

  const forget = (guest: Guest): void => {
    guests.delete(guest.vmid);
    for (const { hash } of guest.tokens) tokens.delete(hash.toString('hex'));
  };

  return { guests, tokenOf, remember, forget, isLive, isEnrolled };
};
