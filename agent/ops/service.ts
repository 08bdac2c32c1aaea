/** Operations that need the operator's signature: opened, shown, and executed once. */
import { FelhomError } from '#shared/errors';
import { timestamp } from '#shared/ids';
import type { AdminOp, Trust } from '#shared/wire/admin-ops';
import type { FormatJob as WireJob } from '#shared/wire/jobs';
import type { Op as WireOp } from '#shared/wire/ops';
import { auditEntry } from '../audit.ts';
import { createLate, stillAtWork } from '../disks/deeds/late.ts';
import type { FormatJob } from '../disks/format/format.ts';
import type { Drive, Holder } from '../disks/inventory/drive.ts';
import type { Current } from '../disks/known/current.ts';
import { claim } from '../disks/known/ownership.ts';
import type { OpsignKeys } from '../ports/opsign-keys.ts';
import type { ClockMark } from '../trust/clock-mark.ts';
import type { StateTrust } from '../trust/state-trust.ts';
import { type AcceptPorts, type Carrier, createAccept } from './accept.ts';
import type { Op, Ops, Prepare } from './op.ts';
import { grantsOff } from './refusals.ts';
import type { Register } from './register.ts';
import { opView } from './view.ts';

export interface OpsPorts extends Omit<AcceptPorts, 'register' | 'trust' | 'mark' | 'formatting' | 'prepare' | 'users'> {
  register: Register;
  trust: StateTrust;
  mark: ClockMark;
  formatting: () => ReturnType<AcceptPorts['formatting']> & { wait(jobId: string, ms: number): Promise<FormatJob> };
  prepare: Prepare;
  current: Pick<Current, 'fresh' | 'inventory' | 'changed'>;
  /** Everybody who keeps it in use, looked at now. */
  holders: (drive: Drive) => Promise<readonly Holder[]>;
  jobView: (job: FormatJob) => WireJob;
}

/** A call answers within 10 s, whatever it waits for. */
const ANSWER_MS = 9_000;

const notThere = (id: string): FelhomError =>
  new FelhomError(
    'op-not-found',
    `There is no operation ${id}, or it is long over. "felhom-agent ops list" shows those there are.`,
  );

const keysView = async (keys: OpsignKeys): Promise<Pick<Trust, 'keys' | 'keys_problem'>> => {
  try {
    const known = await keys.read();
    return { keys: [...known].map(([kid, { name, state }]) => ({ kid, name, state })), keys_problem: '' };
  } catch (error) {
    return { keys: [], keys_problem: error instanceof Error ? error.message : String(error) };
  }
};

export const createOps = (ports: OpsPorts) => {
  const { register, trust, mark, keys, formatting, prepare, claims, clock, current, hostScope } = ports;
  const driveOf = (drives: readonly Drive[], op: Op): Drive | undefined => drives.find(({ record }) => record?.id === op.drive);

  const inUse = async (drive: Drive | undefined, look: (drive: Drive) => Promise<readonly Holder[]>): Promise<string[]> => {
    if (drive === undefined) return ['The drive is not plugged in.'];
    const unknown = (error: unknown): string[] => [
      `Who keeps it in use could not be found out: ${error instanceof Error ? error.message : String(error)}`,
    ];
    const [held, obstacles] = await Promise.all([
      look(drive).then((all) => all.map(({ sentence }) => sentence), unknown),
      prepare.obstacles(drive).catch(unknown),
    ]);
    const aside = drive.reasons.flatMap(({ setAside }) => setAside ?? []);
    return [...new Set([...held, ...obstacles, ...aside.map((entry) => `${entry} in disks.protect sets it aside.`)])];
  };

  const newest = async (): Promise<readonly Drive[]> =>
    (await current.fresh().catch(async () => (await current.inventory()).inventory)).drives;

  const users = async (op: Op): Promise<readonly string[]> => {
    try {
      return await inUse(driveOf(await newest(), op), ports.holders);
    } catch {
      return [];
    }
  };

  const accept = createAccept({ ...ports, users });
  const late = createLate<FormatJob>(clock);

  const open: Ops['open'] = async (drive, { vmid, fstype }) => {
    const why = trust.why();
    if (why !== '') throw grantsOff(why, false);
    return register.open(drive, { vmid, fstype, owner: claim(drive, vmid, claims(), clock.now()) });
  };

  /** Whoever carries the same line while it is being decided hears the same. */
  const grant: Ops['grant'] = async (text, carrier, opId) => {
    const startedAt = clock.monotonic();
    const key = `${carrier} ${opId ?? ''} ${text}`;
    const job = await late(
      key,
      () => accept(text, carrier, opId),
      () => stillAtWork('The drive takes long to answer.'),
      () => true,
    );
    return formatting().wait(job.jobId, Math.max(0, ANSWER_MS - (clock.monotonic() - startedAt)));
  };

  const ops: Ops = {
    open,
    list: register.all,
    find: register.find,
    grant,
    setPrepared: register.setPrepared,
    onChange: register.onChange,
  };

  const ofGuest = (vmid: number): Op[] => register.all().filter((op) => op.vmid === vmid);

  const guests = {
    list: (vmid: number): WireOp[] => register.recent().flatMap((op) => (op.vmid === vmid ? [opView(op, hostScope)] : [])),
    grant: async (vmid: number, id: string, text: string): Promise<WireJob> => {
      if (!ofGuest(vmid).some((op) => op.id === id))
        throw new FelhomError('op-not-found', 'This guest has no such operation, or it is long over.');
      const carrier: Carrier = `guest ${vmid}`;
      return ports.jobView(await grant(text, carrier, id));
    },
  };

  /** Kernel names change at every replug: of one that is open it is the drive's of now, and none where it is not plugged in. */
  const deviceOf = (op: Op, drive: Drive | undefined): string => (op.state === 'open' ? (drive?.name ?? '') : op.device);

  const adminView = (op: Op, drive: Drive | undefined, used: readonly string[]): AdminOp => {
    const job = op.jobId === '' ? null : formatting().job(op.jobId);
    return {
      op: { ...opView(op, hostScope), device: deviceOf(op, drive) },
      in_use: [...used],
      prepared: prepare.sentences(op.prepared),
      granted_by: op.grantedBy,
      job: job === null ? null : ports.jobView(job),
    };
  };

  const required = (id: string): Op => {
    const op = register.find(id);
    if (op === null) throw notThere(id);
    return op;
  };

  const show = async (id: string): Promise<AdminOp> => {
    const op = required(id);
    if (op.state !== 'open') return adminView(op, undefined, []);
    const drive = driveOf(await newest(), op);
    return adminView(op, drive, await inUse(drive, ports.holders));
  };

  const trustView = async (): Promise<Trust> => {
    const counts = trust.counts();
    const marked = mark.mark();
    return {
      grants_off: trust.why() || mark.doubt(),
      database_count: counts.database,
      file_count: counts.file,
      clock_mark: marked === null ? null : timestamp(marked),
      clock_now: timestamp(clock.now()),
      ...(await keysView(keys)),
    };
  };

  const list = async (): Promise<{ ops: AdminOp[]; trust: Trust }> => {
    const { drives } = (await current.inventory()).inventory;
    const views = register.recent().map(async (op) => {
      const glance = async ({ holders }: Drive) => holders;
      const drive = driveOf(drives, op);
      return adminView(op, drive, op.state === 'open' ? await inUse(drive, glance) : []);
    });
    return { ops: await Promise.all(views), trust: await trustView() };
  };

  const prepared = async (id: string, { undo }: { undo: boolean }): Promise<AdminOp> => {
    const op = required(id);
    if (!undo && op.state !== 'open')
      throw new FelhomError('op-not-found', `The operation ${id} is not open any more, so nothing is prepared for it.`);
    try {
      await (undo ? prepare.undo(op) : prepare.prepare(op));
    } finally {
      current.changed();
    }
    return show(id);
  };

  const acceptState = async (): Promise<Trust> => {
    const closing = register.closingAll('The operator accepted the state of this host anew ("felhom-agent state accept").');
    const counts = trust.counts();
    await trust.accept([...closing.statements, auditEntry(clock, 'root', 'state-accepted', { ...counts, why: trust.why() })]);
    closing.applied();
    return trustView();
  };

  const acceptClock = async (): Promise<Trust> => {
    await mark.accept([auditEntry(clock, 'root', 'clock-accepted', { mark: mark.mark(), now: clock.now() })]);
    return trustView();
  };

  const admin = {
    list,
    show,
    prepare: prepared,
    grant: async (text: string): Promise<WireJob> => ports.jobView(await grant(text, 'root')),
    acceptState,
    acceptClock,
  };

  return { ops, guests, admin };
};
