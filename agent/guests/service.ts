/** The enrolled guests and their tokens: in memory for every request, in the database for good. The agent is the only writer. */
import { randomBytes } from 'node:crypto';
import type { Bootstrap } from '#shared/bootstrap';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { SCOPES, type Scope, timestamp } from '#shared/ids';
import type { EnrolledGuests } from '#shared/wire/admin';
import type { Journal } from '../ports/journal.ts';
import type { Proxmox } from '../ports/proxmox.ts';
import type { Statement, Store } from '../ports/store.ts';
import { type Bucket, createFailedTries, fullBucket, isDuplicate, type SeenInstance, take } from './limits.ts';
import { bearer, hashSecret, makeToken, parseToken, SECRET_BYTES, sameHash } from './tokens.ts';

export interface GuestPorts {
  store: Store;
  proxmox: Pick<Proxmox, 'node' | 'resources'>;
  clock: Clock;
  journal: Journal;
  /** Read at each request: a reload changes it. */
  limits: () => { requestsPerSecond: number; streams: number };
  /** Where guests reach the agent, and the leaf they pin. */
  endpoints: () => Bootstrap['endpoints'];
}

/** A token that was accepted. */
export interface Session {
  readonly vmid: number;
  readonly scopes: readonly Scope[];
  /** Counts a held answer and calls `end` when the token is revoked meanwhile. The returned function gives it back. */
  openStream(end: (why: FelhomError) => void): () => void;
}

/** What a request shows of itself. */
export interface Credentials {
  authorization: string | undefined;
  /** `Felhom-Instance`. */
  instance: string | undefined;
  /** The peer's address. */
  source: string;
}

interface Token {
  readonly hash: Buffer;
  readonly guest: Guest;
  state: 'active' | 'superseded' | 'revoked';
  /** Of a superseded one: the end of its overlap. Of a revoked one: when that was. */
  validUntil: number | null;
  readonly bucket: Bucket;
  readonly streams: Set<(why: FelhomError) => void>;
  instance: SeenInstance | null;
}

interface Guest {
  readonly vmid: number;
  readonly enrolledAt: number;
  readonly scopes: readonly Scope[];
  readonly tokens: Set<Token>;
  lastSeenAt: number | null;
}

/** So long a token that was replaced or revoked is still told so, and not merely that it is unknown. */
const REMEMBER_MS = 400 * 86_400_000;

const INSTANCE_ID = /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/;

const revoked = (): FelhomError =>
  new FelhomError('token-revoked', "This guest's token was revoked on the host. Have the operator enrol the guest again.");

const superseded = (): FelhomError =>
  new FelhomError('token-superseded', 'This token was replaced by a newer one, which the operator gave to this guest.');

export type Guests = Awaited<ReturnType<typeof createGuests>>;

export const createGuests = async ({ store, proxmox, clock, journal, limits, endpoints }: GuestPorts) => {
  const guests = new Map<number, Guest>();
  /** By the hash's hex digits: looking up a hash tells an attacker nothing about the secret. */
  const tokens = new Map<string, Token>();
  const failedTries = createFailedTries();

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

  /** One change after the other: each is decided over what the one before it left. */
  let lastChange: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(change: () => Promise<T>): Promise<T> => {
    const result = lastChange.then(change);
    lastChange = result.catch(() => undefined);
    return result;
  };

  const audit = (what: string, vmid: number, details: object = {}): Statement => ({
    sql: 'INSERT INTO audit (at, who, what, details) VALUES (?, ?, ?, ?)',
    values: [clock.now(), 'root', what, JSON.stringify({ vmid, ...details })],
  });

  const insertToken = (hash: Buffer, vmid: number): Statement => ({
    sql: "INSERT INTO tokens (hash, vmid, created_at, state) VALUES (?, ?, ?, 'active')",
    values: [hash, vmid, clock.now()],
  });

  const newToken = (vmid: number): { text: string; hash: Buffer } => {
    const secret = randomBytes(SECRET_BYTES);
    return { text: makeToken(vmid, secret), hash: hashSecret(secret.toString('base64url')) };
  };

  const bootstrap = (vmid: number, token: string): { bootstrap: Bootstrap } => ({
    bootstrap: { vmid, token, endpoints: endpoints() },
  });

  const isLive = (token: Token): boolean =>
    token.state === 'active' || (token.state === 'superseded' && token.validUntil !== null && clock.now() < token.validUntil);

  const isEnrolled = (guest: Guest | undefined): boolean => guest !== undefined && [...guest.tokens].some(isLive);

  const enrolled = (vmid: number): Guest => {
    const guest = guests.get(vmid);
    if (guest !== undefined) return guest;
    throw new FelhomError('guest-not-enrolled', `Guest ${vmid} is not enrolled. "felhom-agent guest list" shows who is.`);
  };

  /** Evidence that the guest is here: an answer of Proxmox that names it. */
  const assertOnThisNode = async (vmid: number): Promise<void> => {
    const { guests: found } = await proxmox.resources().catch((cause: unknown) => {
      throw new FelhomError(
        'proxmox-unreachable',
        `Proxmox could not be asked whether guest ${vmid} exists, so it was not enrolled. Check that pveproxy runs and that the agent's token is valid, then try again.`,
        cause,
      );
    });
    const guest = found.find((one) => one.vmid === vmid);
    if (guest === undefined) {
      throw new FelhomError(
        'guest-not-found',
        `Proxmox shows no guest ${vmid} to the agent. Check the number with "pct list" and "qm list".`,
      );
    }
    if (guest.node !== proxmox.node) {
      throw new FelhomError('guest-elsewhere', `Guest ${vmid} is on node ${guest.node}. Enrol it with the agent of that node.`);
    }
  };

  const refuseEnrolled = (vmid: number): void => {
    if (!isEnrolled(guests.get(vmid))) return;
    throw new FelhomError(
      'guest-already-enrolled',
      `Guest ${vmid} is enrolled already. Use "felhom-agent guest rotate ${vmid}" for a new token, or revoke or remove it first.`,
    );
  };

  /** Proxmox is asked outside the turn, so that nothing, least of all a revocation, waits for its silence. */
  const enroll = async (vmid: number): Promise<{ bootstrap: Bootstrap }> => {
    refuseEnrolled(vmid);
    await assertOnThisNode(vmid);
    return inTurn(async () => {
      refuseEnrolled(vmid);
      const known = guests.get(vmid);
      const { text, hash } = newToken(vmid);
      const enrolledAt = clock.now();
      await store.write(
        {
          sql: 'INSERT INTO guests (vmid, enrolled_at, scopes) VALUES (?, ?, ?) ON CONFLICT (vmid) DO UPDATE SET enrolled_at = excluded.enrolled_at, scopes = excluded.scopes',
          values: [vmid, enrolledAt, JSON.stringify(SCOPES)],
        },
        insertToken(hash, vmid),
        audit('guest-enrolled', vmid, { scopes: SCOPES }),
      );
      const guest: Guest = { vmid, enrolledAt, scopes: SCOPES, tokens: new Set(), lastSeenAt: null };
      // The former tokens stay refused, and now count for the guest as it is enrolled anew.
      for (const { hash: former, state, validUntil } of known?.tokens ?? []) remember(guest, former, state, validUntil);
      remember(guest, hash, 'active', null);
      guests.set(vmid, guest);
      journal('notice', 'A guest was enrolled.', { vmid });
      return bootstrap(vmid, text);
    });
  };

  const endStreams = (token: Token, why: FelhomError): void => {
    for (const end of [...token.streams]) end(why);
    token.streams.clear();
  };

  const rotate = (vmid: number, overlapSeconds: number): Promise<{ bootstrap: Bootstrap }> =>
    inTurn(async () => {
      const guest = enrolled(vmid);
      if (!isEnrolled(guest)) {
        throw new FelhomError(
          'guest-not-enrolled',
          `Guest ${vmid} was revoked. Enrol it again with "felhom-agent guest enroll ${vmid}".`,
        );
      }
      const until = clock.now() + overlapSeconds * 1000;
      const { text, hash } = newToken(vmid);
      await store.write(
        {
          sql: "UPDATE tokens SET state = 'superseded', valid_until = MIN(COALESCE(valid_until, ?), ?) WHERE vmid = ? AND state <> 'revoked'",
          values: [until, until, vmid],
        },
        insertToken(hash, vmid),
        audit('token-rotated', vmid, { overlap_seconds: overlapSeconds }),
      );
      for (const token of guest.tokens) {
        if (token.state === 'revoked') continue;
        token.state = 'superseded';
        token.validUntil = Math.min(token.validUntil ?? until, until);
        if (!isLive(token)) endStreams(token, superseded());
      }
      remember(guest, hash, 'active', null);
      journal('notice', 'A guest was given a new token.', { vmid, overlap_seconds: overlapSeconds });
      return bootstrap(vmid, text);
    });

  const revoke = (vmid: number): Promise<{ vmid: number }> =>
    inTurn(async () => {
      const guest = enrolled(vmid);
      const now = clock.now();
      await store.write(
        {
          sql: "UPDATE tokens SET state = 'revoked', valid_until = ? WHERE vmid = ? AND state <> 'revoked'",
          values: [now, vmid],
        },
        audit('guest-revoked', vmid),
      );
      for (const token of guest.tokens) {
        if (token.state === 'revoked') continue;
        token.state = 'revoked';
        token.validUntil = now;
        endStreams(token, revoked());
      }
      journal('notice', "A guest's tokens were revoked.", { vmid });
      return { vmid };
    });

  const remove = (vmid: number): Promise<{ vmid: number }> =>
    inTurn(async () => {
      const guest = enrolled(vmid);
      await store.write({ sql: 'DELETE FROM guests WHERE vmid = ?', values: [vmid] }, audit('guest-removed', vmid));
      guests.delete(vmid);
      for (const token of guest.tokens) {
        tokens.delete(token.hash.toString('hex'));
        endStreams(token, revoked());
      }
      journal('notice', 'A guest was removed.', { vmid });
      return { vmid };
    });

  const list = (): EnrolledGuests => ({
    guests: [...guests.values()]
      .sort((a, b) => a.vmid - b.vmid)
      .map((guest) => {
        const live = [...guest.tokens].filter(isLive);
        return {
          vmid: guest.vmid,
          enrolled_at: timestamp(guest.enrolledAt),
          scopes: [...guest.scopes],
          state: live.length === 0 ? ('revoked' as const) : live.length === 1 ? ('active' as const) : ('rotating' as const),
          last_seen_at: guest.lastSeenAt === null ? null : timestamp(guest.lastSeenAt),
        };
      }),
  });

  /** The stored token that this header proves, or why it proves none. */
  const recognise = (authorization: string | undefined): Token | FelhomError => {
    const text = bearer(authorization);
    if (text === null)
      return new FelhomError('token-missing', 'The request carries no token: send "Authorization: Bearer <guest token>".');
    const parsed = parseToken(text);
    const hash = parsed === null ? null : hashSecret(parsed.secret);
    const token = hash === null ? undefined : tokens.get(hash.toString('hex'));
    if (parsed === null || hash === null || token === undefined || !sameHash(token.hash, hash)) {
      return new FelhomError('token-unknown', 'The agent does not know this token. Have the operator enrol this guest.');
    }
    if (token.guest.vmid !== parsed.vmid) return new FelhomError('token-wrong-guest', 'This token belongs to another guest.');
    if (token.state === 'revoked') return revoked();
    if (!isLive(token)) return superseded();
    return token;
  };

  const refuseFailed = (why: FelhomError, source: string): FelhomError => {
    const { flooding, first } = failedTries.note(source, clock.monotonic());
    if (!flooding) {
      journal('warning', 'A request was refused for its token.', { code: why.code, source });
      return why;
    }
    if (first) {
      journal('warning', 'Many requests with bad tokens from one source; no more of them are logged for a minute.', { source });
      const details = JSON.stringify({ source, code: why.code });
      store
        .write({
          sql: "INSERT INTO audit (at, who, what, details) VALUES (?, 'agent', 'token-tries', ?)",
          values: [clock.now(), details],
        })
        .catch((error: unknown) => journal('error', 'The audit could not be written.', { cause: String(error) }));
    }
    return new FelhomError('rate-limited', 'Too many requests with a bad token from this address. Wait a minute.');
  };

  const noteInstance = (token: Token, id: string, now: number): void => {
    if (!INSTANCE_ID.test(id)) throw new FelhomError('invalid-request', 'The header Felhom-Instance is not a UUID.');
    if (isDuplicate(token.instance, id, now)) {
      throw new FelhomError(
        'duplicate-instance',
        "Another controller used this guest's token within the last minute: a copy of this guest is running. Stop one, or enrol the copy as a guest of its own.",
      );
    }
    token.instance = { id, at: now };
  };

  /** Takes a request's token, or throws why not. Never waits: it reads memory only. */
  const authenticate = ({ authorization, instance, source }: Credentials): Session => {
    const token = recognise(authorization);
    if (token instanceof FelhomError) throw refuseFailed(token, source);
    const now = clock.monotonic();
    if (!take(token.bucket, limits().requestsPerSecond, now)) {
      throw new FelhomError(
        'rate-limited',
        `More than ${limits().requestsPerSecond} requests a second with this token. Ask less often.`,
      );
    }
    if (instance !== undefined) noteInstance(token, instance, now);
    token.guest.lastSeenAt = clock.now();
    return {
      vmid: token.guest.vmid,
      scopes: token.guest.scopes,
      openStream: (end) => {
        if (token.streams.size >= limits().streams) {
          throw new FelhomError('too-many-streams', `${limits().streams} answers are already being waited for with this token.`);
        }
        token.streams.add(end);
        return () => token.streams.delete(end);
      },
    };
  };

  return { enroll, rotate, revoke, remove, list, authenticate };
};
