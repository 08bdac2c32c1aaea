/** Operations that wait for a signature, and what became of them: in memory, and durable before anybody is told. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { auditEntry } from '../audit.ts';
import type { Filesystem } from '../config.ts';
import { boundDurableId, identityText } from '../disks/durable-id.ts';
import type { Drive, Owner } from '../disks/inventory/drive.ts';
import { isSameInstance } from '../guests/instance.ts';
import type { BootTime } from '../ports/boot-time.ts';
import type { Statement, Store } from '../ports/store.ts';
import { base32 } from '../trust/base32.ts';
import { createTurn } from '../turn.ts';
import type { Op, Prepared } from './op.ts';
import { closeOp, deleteOp, grantOp, insertOp, type KeptOp, type OpRow, opOf, SELECT_OPS, updatePrepared } from './op-rows.ts';

export interface RegisterPorts {
  store: Pick<Store, 'all' | 'write'>;
  clock: Clock;
  boot: BootTime;
  /** `opsign.max_age` as it is now, ms. */
  maxAgeMs: () => number;
}

/** Whoever asks, and for what. */
export interface OpWish {
  vmid: number;
  fstype: Filesystem;
  /** Whose the drive would become. */
  owner: Owner;
}

/** Of the host's one is left for each guest that has none: others cannot keep it from being asked for. */
const MOST_OPEN = { guest: 8, host: 32 } as const;
/** Each leaves a line in the audit for ever. */
const MOST_MADE = { count: 30, withinMs: 3_600_000 } as const;
/** What is over stays to be seen for so long; who asks again and again does not fill the database. */
const KEEP_MS = 7 * 86_400_000;
const KEEP_PER_GUEST = 8;
const ID_CHARS = 12;
const NONCE_BYTES = 16;

const EXPIRED = 'Nobody signed it in time.';
const REPLACED = 'The same guest asked for something else on this drive, or the drive was changed.';

export type Register = Awaited<ReturnType<typeof loadRegister>>;

export const loadRegister = async ({ store, clock, boot, maxAgeMs }: RegisterPorts) => {
  const ops = new Map((await store.all<OpRow>(SELECT_OPS)).map((row) => [row.id, opOf(row)]));
  const listeners = new Set<(op: Op) => void>();
  const inTurn = createTurn();

  /** In this start of the host by its own time, whatever the clock says; in another only the clock is left. */
  const isTooOld = ({ bootId, createdMonotonic, createdAt, expiresAt }: KeptOp): boolean =>
    bootId === boot.bootId ? boot.ms() - createdMonotonic >= expiresAt - createdAt : clock.now() >= expiresAt;

  const asNow = (op: KeptOp): KeptOp =>
    op.state === 'open' && isTooOld(op) ? { ...op, state: 'expired', reason: EXPIRED, closedAt: clock.now() } : op;

  /** Newest first, whatever the clock did. */
  const all = (): KeptOp[] => [...ops.values()].map(asNow).reverse();
  const find = (id: string): KeptOp | null => {
    const op = ops.get(id);
    return op === undefined ? null : asNow(op);
  };

  const isGranted = ({ id }: KeptOp): boolean => ops.get(id)?.state === 'granted';

  /** In memory, after it is durable, and as the database does it: what was granted meanwhile stays granted. */
  const apply = (wanted: readonly KeptOp[], gone: readonly KeptOp[] = []): void => {
    const changed = wanted.filter((op) => op.state === 'granted' || !isGranted(op));
    for (const op of changed) ops.set(op.id, op);
    for (const { id } of gone) ops.delete(id);
    for (const op of changed) for (const listener of listeners) listener(op);
  };

  const closed = (op: KeptOp, reason: string): KeptOp => ({ ...op, state: 'closed', reason, closedAt: clock.now() });

  const overdue = (): KeptOp[] => all().filter(({ id, state }) => state === 'expired' && ops.get(id)?.state === 'open');

  /** Nothing hangs on these: neither a grant nor something that was prepared and is to be undone. */
  const forgettable = (): KeptOp[] => {
    const over = all().filter(({ state, prepared }) => (state === 'expired' || state === 'closed') && prepared.length === 0);
    return over.filter(
      ({ vmid, closedAt }, index) =>
        (closedAt ?? 0) < clock.now() - KEEP_MS ||
        over.slice(0, index).filter((newer) => newer.vmid === vmid).length >= KEEP_PER_GUEST,
    );
  };

  const tidy = async (): Promise<void> => {
    const [late, old] = [overdue(), forgettable()];
    if (late.length + old.length === 0) return;
    await store.write(...late.map(closeOp), ...old.map(({ id }) => deleteOp(id)));
    apply(late, old);
  };

  const requireRoom = (vmid: number, leaving: readonly KeptOp[]): void => {
    const open = all().filter(({ id, state }) => state === 'open' && leaving.every((other) => other.id !== id));
    const own = open.filter((op) => op.vmid === vmid);
    if (own.length === 0 || (own.length < MOST_OPEN.guest && open.length < MOST_OPEN.host)) return;
    throw new FelhomError(
      'too-many-ops',
      own.length < MOST_OPEN.guest
        ? 'Too many operations of this host wait for a signature already. Nothing was erased. Please try again when some of them are signed or have expired.'
        : `${own.length} operations of this guest wait for a signature already. Nothing was erased. Have them signed first, or wait until they expire.`,
    );
  };

  /** When a guest's were made, in the agent's own time. */
  const madeAt = new Map<number, readonly number[]>();

  const requirePace = (vmid: number): void => {
    const recent = (madeAt.get(vmid) ?? []).filter((at) => clock.monotonic() - at < MOST_MADE.withinMs);
    madeAt.set(vmid, recent);
    if (recent.length < MOST_MADE.count) return;
    throw new FelhomError(
      'too-many-ops',
      'This guest asked for too many operations within an hour. Nothing was erased. Those that wait for a signature still do; please try again later.',
    );
  };

  const bindingOf = ({ op, fstype, vmid, nonce }: Op) => ({ op, fstype, vmid, nonce });

  const made = (drive: Drive, record: number, { vmid, fstype, owner }: OpWish): KeptOp => {
    if (drive.role === 'user-data') throw new Error('a user-data drive needs no signature');
    const nonce = randomBytes(NONCE_BYTES);
    const { model, serial, sizeBytes } = drive.identity;
    const now = clock.now();
    return {
      id: `op-${base32(randomBytes(8)).slice(0, ID_CHARS)}`,
      op: 'storage_wipe',
      durableId: boundDurableId(drive, { op: 'storage_wipe', fstype, vmid, nonce }),
      ...{ nonce, vmid, instance: owner.instance, drive: record, device: drive.name, role: drive.role },
      ...{ model, serial, sizeBytes, fstype, createdAt: now, expiresAt: now + maxAgeMs(), state: 'open', reason: '' },
      ...{ jobId: '', grantedBy: '', prepared: [], bootId: boot.bootId, createdMonotonic: boot.ms(), closedAt: null },
    };
  };

  const isSame = (op: KeptOp, drive: Drive, { fstype, owner }: OpWish): boolean =>
    op.fstype === fstype && isSameInstance(op.instance, owner.instance) && boundDurableId(drive, bindingOf(op)) === op.durableId;

  const open = async (drive: Drive, wish: OpWish): Promise<KeptOp> => {
    if (drive.record === null) throw new Error(`${drive.name} has no record`);
    await tidy();
    const { id: record } = drive.record;
    const former = all().filter(({ state, drive: of, vmid }) => state === 'open' && of === record && vmid === wish.vmid);
    const same = former.find((op) => isSame(op, drive, wish));
    if (same !== undefined) return same;
    requireRoom(wish.vmid, former);
    requirePace(wish.vmid);
    const op = made(drive, record, wish);
    const replaced = former.map((one) => closed(one, REPLACED));
    const { id, durableId, fstype, device, role, model, serial } = op;
    const details = { op: id, durable_id: durableId, fstype, drive: record, device, role, model, serial };
    await store.write(
      ...replaced.map(closeOp),
      insertOp(op, identityText(drive)),
      auditEntry(clock, `guest ${wish.vmid}`, 'op-opened', details),
    );
    madeAt.set(wish.vmid, [...(madeAt.get(wish.vmid) ?? []), clock.monotonic()]);
    apply([...replaced, op]);
    return op;
  };

  const setPrepared = async (id: string, prepared: readonly Prepared[]): Promise<void> => {
    const known = (): KeptOp => {
      const op = ops.get(id);
      if (op === undefined) throw new Error(`there is no operation ${id}`);
      return op;
    };
    known();
    await store.write(updatePrepared(id, prepared));
    apply([{ ...known(), prepared }]);
  };

  return {
    all,
    /** What still matters to somebody: open, of the last week, or with something that may be put back. */
    recent: (): KeptOp[] =>
      all().filter(({ closedAt, prepared }) => closedAt === null || closedAt >= clock.now() - KEEP_MS || prepared.length > 0),
    find,
    open: (drive: Drive, wish: OpWish): Promise<KeptOp> => inTurn(() => open(drive, wish)),
    setPrepared: (id: string, prepared: readonly Prepared[]): Promise<void> => inTurn(() => setPrepared(id, prepared)),
    /** What is overdue is written down as such, what is long over is forgotten. */
    tick: (): Promise<void> => inTurn(tidy),
    /** A change as a statement for somebody else's write; to be called `applied` when that is durable. */
    granting: (op: KeptOp, jobId: string, grantedBy: string): { statement: Statement; applied: () => void } => {
      const granted: KeptOp = { ...op, state: 'granted', jobId, grantedBy, closedAt: clock.now() };
      // What is prepared may be written down meanwhile.
      const applied = (): void => apply([{ ...granted, prepared: ops.get(op.id)?.prepared ?? op.prepared }]);
      return { statement: grantOp(granted), applied };
    },
    closingAll: (reason: string): { statements: Statement[]; applied: () => void } => {
      const gone = all().flatMap((op) => (op.state === 'open' ? [closed(op, reason)] : []));
      return { statements: gone.map(closeOp), applied: () => apply(gone) };
    },
    onChange: (listener: (op: Op) => void): void => {
      listeners.add(listener);
    },
  };
};
