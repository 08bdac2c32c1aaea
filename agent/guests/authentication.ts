/** Whose request this is: the token, its limits, and whether a copy of the guest uses it too. Reads memory only, so it never waits. */
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { Scope } from '#shared/ids';
import type { Journal } from '../ports/journal.ts';
import type { Store } from '../ports/store.ts';
import { createFailedTries, isDuplicate, take } from './limits.ts';
import { type Registry, revoked, superseded, type Token } from './registry.ts';
import { bearer, hashSecret, parseToken, sameHash } from './tokens.ts';

/** A token that was accepted. */
export interface Session {
  readonly vmid: number;
  readonly scopes: readonly Scope[];
  /** False once the token was revoked, or the overlap after its replacement has ended. */
  isLive(): boolean;
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

export interface AuthenticationPorts {
  registry: Registry;
  store: Store;
  clock: Clock;
  journal: Journal;
  /** Read at each request: a reload changes it. */
  limits: () => { requestsPerSecond: number; streams: number };
}

const INSTANCE_ID = /^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/;

export const createAuthentication = ({ registry, store, clock, journal, limits }: AuthenticationPorts) => {
  const failedTries = createFailedTries();

  /** The stored token that this header proves, or why it proves none. */
  const recognise = (authorization: string | undefined): Token | FelhomError => {
    const text = bearer(authorization);
    if (text === null)
      return new FelhomError('token-missing', 'The request carries no token: send "Authorization: Bearer <guest token>".');
    const parsed = parseToken(text);
    const hash = parsed === null ? null : hashSecret(parsed.secret);
    const token = hash === null ? undefined : registry.tokenOf(hash);
    if (parsed === null || hash === null || token === undefined || !sameHash(token.hash, hash)) {
      return new FelhomError('token-unknown', 'The agent does not know this token. Have the operator enrol this guest.');
    }
    if (token.guest.vmid !== parsed.vmid) return new FelhomError('token-wrong-guest', 'This token belongs to another guest.');
    if (token.state === 'revoked') return revoked();
    if (!registry.isLive(token)) return superseded();
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
      isLive: () => registry.isLive(token),
      openStream: (end) => {
        if (token.streams.size >= limits().streams) {
          throw new FelhomError('too-many-streams', `${limits().streams} answers are already being waited for with this token.`);
        }
        token.streams.add(end);
        return () => token.streams.delete(end);
      },
    };
  };

  return authenticate;
};
