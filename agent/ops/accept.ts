/** Accepts the operator's signature, once: everything that it has to fit, then the drive, and only then it is used up. */
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { type GrantClaims, GrantError, readGrant } from '#shared/grant';
import { auditEntry } from '../audit.ts';
import { boundDurableId } from '../disks/durable-id.ts';
import type { FormatJob, Formatting, Permission, Wish } from '../disks/format/format.ts';
import type { Drive, Inventory, Owner } from '../disks/inventory/drive.ts';
import { type Claims, claim } from '../disks/known/ownership.ts';
import { isSameInstance } from '../guests/instance.ts';
import type { Journal } from '../ports/journal.ts';
import type { OpsignKeys } from '../ports/opsign-keys.ts';
import type { Statement, Store } from '../ports/store.ts';
import type { ClockMark } from '../trust/clock-mark.ts';
import type { StateTrust } from '../trust/state-trust.ts';
import { createTurn, type InTurn } from '../turn.ts';
import { judgeGrant } from './judge.ts';
import type { Op, Prepare } from './op.ts';
import type { KeptOp } from './op-rows.ts';
import * as refusal from './refusals.ts';
import type { Register } from './register.ts';

export type Carrier = 'root' | `guest ${number}`;

export interface AcceptPorts {
  hostScope: string;
  register: Pick<Register, 'all' | 'find' | 'granting'>;
  trust: Pick<StateTrust, 'why' | 'look' | 'prove' | 'counting' | 'counted'>;
  mark: Pick<ClockMark, 'doubt'>;
  keys: OpsignKeys;
  formatting: () => Pick<Formatting, 'begin' | 'job'>;
  prepare: Pick<Prepare, 'obstacles'>;
  /** The same for whoever takes drives out of use, or puts them back. */
  inTurn: InTurn;
  /** Whoever keeps its drive in use now, each a sentence, for root. Never rejects. */
  users: (op: Op) => Promise<readonly string[]>;
  claims: () => Claims;
  store: Pick<Store, 'all'>;
  clock: Clock;
  journal: Journal;
}

/** A signature that is genuine, and who made it. */
interface Signed {
  claims: GrantClaims;
  kid: string;
  name: string;
}

interface Carried extends Signed {
  text: string;
  op: KeptOp;
  carrier: Carrier;
}

/** Between two lines in the journal about the same guest. */
const REPORT_MS = 60_000;

const causeOf = (error: unknown): string | undefined =>
  error instanceof Error && error.cause !== undefined ? String(error.cause) : undefined;

const usedRow = ({ claims: { jti, iat, exp, sub }, kid, op }: Carried, now: number): Statement => ({
  sql: 'INSERT INTO used_grants (jti, op_id, kid, sub, issued_at, expires_at, used_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
  values: [jti, op.id, kid, sub, iat * 1000, exp * 1000, now],
});

/** Whose key it was, as root wrote it down; the signature's own word for it proves nothing. */
const signedBy = ({ kid, name, claims: { sub } }: Signed): string =>
  sub === name ? `${name} (key ${kid})` : `${name} (key ${kid}; it says ${sub})`;

export const createAccept = (ports: AcceptPorts) => {
  const { register, trust, mark, keys, formatting, prepare, claims, store, clock, journal, hostScope } = ports;
  /** One signature after the other: the next is judged over what the one before it left. */
  const oneByOne = createTurn();

  const requireTrust = async (isRoot: boolean): Promise<void> => {
    await trust.look();
    const why = trust.why() || mark.doubt();
    if (why !== '') throw refusal.grantsOff(why, isRoot);
  };

  const read = async (text: string, isRoot: boolean): Promise<Signed> => {
    const known = await keys.read().catch((error: unknown) => {
      throw refusal.grantsOff(error instanceof Error ? error.message : String(error), isRoot);
    });
    try {
      return await readGrant(text, (kid) => known.get(kid) ?? null);
    } catch (error) {
      throw error instanceof GrantError ? refusal.unreadable(error) : error;
    }
  };

  const usedAs = async (jti: string): Promise<{ at: number; opId: string } | null> => {
    const [row] = await store.all<{ used_at: number; op_id: string }>('SELECT used_at, op_id FROM used_grants WHERE jti = ?', [
      jti,
    ]);
    return row === undefined ? null : { at: row.used_at, opId: row.op_id };
  };

  /** Which drive it is about: the one whose record it was when it was asked for. What it is now is decided while it is locked. */
  const found =
    (op: Op): Wish['find'] =>
    ({ drives }: Inventory): Drive => {
      const drive = drives.find(({ record }) => record?.id === op.drive);
      if (drive === undefined) throw refusal.unplugged();
      return drive;
    };

  const ownerFor = (op: Op, drive: Drive): Owner => {
    const all = claims();
    if (!all.enrolled.includes(op.vmid) || !isSameInstance(op.instance, all.instances.get(op.vmid) ?? ''))
      throw refusal.otherGuest(op.vmid);
    return claim(drive, op.vmid, all, clock.now());
  };

  /** Over the drive as it is while it is locked; throws to refuse. */
  const requireFitting = async ({ op, claims: signed, carrier }: Carried, drive: Drive): Promise<void> => {
    if (drive.twins.length > 0) throw refusal.twins(drive.twins);
    const entries = drive.reasons.flatMap(({ setAside }) => setAside ?? []);
    if (entries.length > 0) throw refusal.setAside(entries);
    const bound = boundDurableId(drive, op);
    if (drive.role !== op.role || bound !== op.durableId || bound !== signed.durable_id) throw refusal.changedDrive();
    const obstacles = await prepare.obstacles(drive);
    if (obstacles.length > 0) throw refusal.notPrepared(op, obstacles, carrier === 'root');
    // It may have taken a while until now.
    const state = register.find(op.id)?.state;
    if (state === 'expired') throw refusal.opExpired(op);
    if (state !== 'open') throw refusal.opClosed(register.find(op.id) ?? op);
  };

  const recording = (carried: Carried, jobId: string) => {
    const { op, carrier, claims: signed, kid, name } = carried;
    const granted = register.granting(op, jobId, signedBy(carried));
    const details = { op: op.id, job: jobId, durable_id: op.durableId, kid, key: name, sub: signed.sub, jti: signed.jti };
    const statements = [
      usedRow(carried, clock.now()),
      granted.statement,
      trust.counting(),
      auditEntry(clock, carrier, 'grant-used', details),
    ];
    return { statements, applied: granted.applied };
  };

  /** Durable in the database; what is left is the file. */
  const witness = async (): Promise<void> => {
    try {
      await trust.counted();
    } catch (error) {
      throw refusal.notWitnessed(error);
    }
  };

  /** Whether it was recorded though the database said that it failed; null: it does not tell. */
  const isRecorded = async ({ claims: { jti } }: Carried): Promise<boolean | null> =>
    usedAs(jti).then(
      (used) => used !== null,
      () => null,
    );

  const explained = async (error: unknown, carried: Carried, isUsed: boolean): Promise<FelhomError> => {
    if (!(error instanceof FelhomError)) return refusal.notRecorded(isUsed || (await isRecorded(carried)), error);
    if (error.code === 'state-failed') return error;
    if (isUsed) return refusal.usedInVain(error);
    const { op, carrier } = carried;
    // Whoever carries it on the host may know who it is.
    const users = error.code === 'drive-in-use' && carrier === 'root' ? await ports.users(op) : [];
    return users.length > 0 ? refusal.inUse(op, users, error) : refusal.stillGood(op, error);
  };

  const execute = async (carried: Carried): Promise<FormatJob> => {
    const { op } = carried;
    let isUsed = false;
    const permit = async (drive: Drive): Promise<Permission> => {
      // Its turn may have come late: a key that was retired meanwhile signs no more.
      await read(carried.text, carried.carrier === 'root');
      const owner = ownerFor(op, drive);
      await requireFitting(carried, drive);
      await trust.prove().catch((error: unknown) => {
        throw refusal.grantsOff(error instanceof Error ? error.message : String(error), carried.carrier === 'root');
      });
      let applied = (): void => undefined;
      return {
        ...{ by: 'granted', boundId: op.durableId, opId: op.id, owner },
        statements: (jobId) => {
          const record = recording(carried, jobId);
          applied = record.applied;
          return record.statements;
        },
        beforeWriting: async () => {
          isUsed = true;
          applied();
          await witness();
        },
      };
    };
    try {
      const wish: Wish = { vmid: op.vmid, find: found(op), fstype: op.fstype, askedId: '' };
      return await ports.inTurn(() => formatting().begin(wish, permit));
    } catch (error) {
      throw await explained(error, carried, isUsed);
    }
  };

  /** Whoever carries the same line again while its job runs hears of that job; afterwards, that it was used. */
  const joined = (op: Op, usedAt: number): FormatJob => {
    const job = formatting().job(op.jobId);
    if (job?.state === 'running') return job;
    throw refusal.alreadyUsed(usedAt, op.jobId);
  };

  const mayKnow = (carrier: Carrier): KeptOp[] =>
    register.all().filter(({ vmid }) => carrier === 'root' || carrier === `guest ${vmid}`);

  const reportedAt = new Map<Carrier, number>();
  /** Whoever tries again and again does not fill the journal. */
  const report = (carrier: Carrier, op: string | undefined, error: unknown): void => {
    const now = clock.monotonic();
    if (carrier !== 'root' && now - (reportedAt.get(carrier) ?? Number.NEGATIVE_INFINITY) < REPORT_MS) return;
    reportedAt.set(carrier, now);
    const why = error instanceof Error ? error.message : String(error);
    journal('warning', 'A signature was not accepted.', { carrier, op, why, cause: causeOf(error) });
  };

  const accept = async (text: string, carrier: Carrier, opId: string | undefined): Promise<FormatJob> => {
    const isRoot = carrier === 'root';
    await requireTrust(isRoot);
    const signed = await read(text, isRoot);
    const used = await usedAs(signed.claims.jti);
    const verdict = judgeGrant({ claims: signed.claims, hostScope, ops: mayKnow(carrier), opId, used, now: clock.now() });
    if (verdict.kind === 'join') return joined(verdict.op, verdict.usedAt);
    return execute({ ...signed, text, op: verdict.op, carrier });
  };

  return (text: string, carrier: Carrier, opId?: string): Promise<FormatJob> =>
    oneByOne(async () => {
      try {
        return await accept(text, carrier, opId);
      } catch (error) {
        report(carrier, opId, error);
        throw error;
      }
    });
};
