/** Enrols guests, gives them new tokens, and takes them away: durably first, then for the next request. */
import { randomBytes } from 'node:crypto';
import type { Bootstrap } from '#shared/bootstrap';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { SCOPES, timestamp } from '#shared/ids';
import type { EnrolledGuests } from '#shared/wire/admin';
import { auditEntry } from '../audit.ts';
import type { Journal } from '../ports/journal.ts';
import type { Proxmox } from '../ports/proxmox.ts';
import type { Statement, Store } from '../ports/store.ts';
import { createTurn } from '../turn.ts';
import { createAuthentication } from './authentication.ts';
import { type Guest, loadRegistry, revoked, superseded, type Token } from './registry.ts';
import { hashSecret, makeToken, SECRET_BYTES } from './tokens.ts';

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

export type Guests = Awaited<ReturnType<typeof createGuests>>;

export const createGuests = async ({ store, proxmox, clock, journal, limits, endpoints }: GuestPorts) => {
  const registry = await loadRegistry({ store, clock, limits });
  const { guests, remember, isLive, isEnrolled } = registry;
  const authenticate = createAuthentication({ registry, store, clock, journal, limits });

  const inTurn = createTurn();

  const audit = (what: string, vmid: number, details: object = {}): Statement =>
    auditEntry(clock, 'root', what, { vmid, ...details });

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
      registry.forget(guest);
      for (const token of guest.tokens) endStreams(token, revoked());
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

  /** Every guest, also one whose tokens are revoked: it is still to be backed up. */
  const enrolledGuests = (): { vmid: number; lastSeenAt: number | null }[] =>
    [...guests.values()].map(({ vmid, lastSeenAt }) => ({ vmid, lastSeenAt }));

  return { enroll, rotate, revoke, remove, list, enrolled: enrolledGuests, authenticate };
};
