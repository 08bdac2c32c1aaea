/** From a permission to the first byte that is written: the drive is locked, looked at anew, decided over again, and only then erased. */
import { randomBytes } from 'node:crypto';
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import { auditEntry } from '../../audit.ts';
import type { MappedRoot } from '../../guests/idmap.ts';
import { type DriveFormat, DriveFormatError, type HeldDrive } from '../../ports/drive-format.ts';
import type { Journal } from '../../ports/journal.ts';
import { deviceFile } from '../../ports/probe.ts';
import type { Store } from '../../ports/store.ts';
import { base32 } from '../../trust/base32.ts';
import type { InTurn } from '../../turn.ts';
import type { InUse } from '../deeds/in-use.ts';
import { identityText } from '../durable-id.ts';
import type { Drive, Holder, Inventory } from '../inventory/drive.ts';
import type { Current } from '../known/current.ts';
import type { FormatJob, Formatting, Permission, Wish } from './format.ts';
import { beforeOf, type KeptJob } from './job-rows.ts';
import { hasWritten, type Jobs } from './jobs.ts';
import { explained, inUse, NOTHING, refusal } from './refusals.ts';

export interface FormattingPorts {
  clock: Clock;
  journal: Journal;
  current: Pick<Current, 'fresh' | 'changed'>;
  jobs: Jobs;
  /** The same for all deeds. */
  inTurn: InTurn;
  driveFormat: Pick<DriveFormat, 'hold' | 'state'>;
  store: Pick<Store, 'write'>;
  /** Whoever has a drive in use, looked for now. */
  inUse: InUse;
  /** Whom the guest's root is on the host. */
  mappedRoot: (vmid: number) => Promise<MappedRoot>;
  bootId: string;
  /** Why no drive is changed; empty where they may be. */
  writesOff: () => string;
}

/** udev, LVM and their like open a drive for a moment to see what is on it. */
const PASSING: ReadonlySet<Holder['kind']> = new Set(['process', 'exclusive']);
const TRIES = 4;
const PAUSE_MS = 500;

/** 60 random bits. */
const newId = (): string => `fmt-${base32(randomBytes(8)).slice(0, 12)}`;

/** A drive as it must be to be locked. */
interface Target {
  drive: Drive;
  record: number;
  diskseq: number;
  sizeBytes: number;
}

const targetOf = (drive: Drive): Target => {
  const { diskseq, sizeBytes } = drive.device;
  if (drive.record === null || diskseq === null || sizeBytes === null) throw refusal.unread();
  return { drive, record: drive.record.id, diskseq, sizeBytes };
};

const isSame = (a: Target, b: Target): boolean =>
  a.drive.name === b.drive.name &&
  a.drive.device.numbers === b.drive.device.numbers &&
  a.diskseq === b.diskseq &&
  a.sizeBytes === b.sizeBytes &&
  a.record === b.record;

export interface FormattingParts extends Formatting {
  /** Its job is on record, and whether it has begun is being found out. */
  isStarting(jobId: string): boolean;
  /** Lets go of what is locked and not erased yet. */
  close(): Promise<void>;
}

export const createFormatting = (ports: FormattingPorts): FormattingParts => {
  const { clock, journal, current, jobs, inTurn, driveFormat } = ports;
  /** Locked, with nothing written yet. */
  const held = new Map<string, HeldDrive>();

  const find = async (wish: Wish, probe: readonly string[]): Promise<Target> => {
    const off = ports.writesOff();
    if (off !== '') throw refusal.writesOff(off);
    const inventory: Inventory = await current.fresh(probe);
    if (inventory.missing.length > 0) throw refusal.notKnown();
    return targetOf(wish.find(inventory));
  };

  /** Whoever only looks at the drive is waited for. */
  const requireFree = async ({ drive }: Target, vmid: number, heldBy?: number): Promise<void> => {
    for (let tries = 1; ; tries += 1) {
      const holders = await ports.inUse.holders(drive, heldBy);
      const [holder] = holders;
      if (holder === undefined) return;
      if (tries === TRIES || !holders.every(({ kind }) => PASSING.has(kind))) throw inUse(holder, vmid);
      await sleep(clock, PAUSE_MS);
    }
  };

  const hold = async (target: Target, jobId: string, { vmid, fstype }: Wish): Promise<HeldDrive> => {
    const { drive, diskseq, sizeBytes } = target;
    await requireFree(target, vmid);
    const device = deviceFile(drive.name);
    const root = await ports.mappedRoot(vmid);
    const order = { jobId, device, numbers: drive.device.numbers, diskseq, sizeBytes, fstype, root };
    for (let tries = 1; ; tries += 1) {
      try {
        return await driveFormat.hold(order);
      } catch (error) {
        const passing = error instanceof DriveFormatError && (error.code === 'busy' || error.code === 'locked');
        if (!passing || tries === TRIES) throw error;
        await sleep(clock, PAUSE_MS);
      }
    }
  };

  const jobFor = (jobId: string, wish: Wish, target: Target, permission: Permission): KeptJob => {
    const { drive, record, diskseq } = target;
    const { vmid, fstype, askedId } = wish;
    return {
      ...{ jobId, vmid, drive: record, device: drive.name, model: drive.identity.model, serial: drive.identity.serial },
      ...{ sizeBytes: drive.identity.sizeBytes, fstype, permittedBy: permission.by, askedId, boundId: permission.boundId },
      ...{ opId: permission.opId, owner: permission.owner, bootId: ports.bootId },
      before: beforeOf(drive, diskseq, drive.record?.keys ?? []),
      ...{ state: 'running', phase: 'holding', uuid: '', error: '', startedAt: clock.now(), finishedAt: null },
    };
  };

  const begun = ({ jobId, vmid, fstype, device, boundId, opId }: KeptJob, { drive }: Target, { by }: Permission) =>
    auditEntry(clock, `guest ${vmid}`, 'format-begun', {
      ...{ job: jobId, device, fstype, permitted_by: by, durable_id: boundId, op: opId },
      drive: drive.record?.id ?? null,
      identity: identityText(drive),
    });

  /** What permitted it is used up: it is said how it ended, and nothing was written to the drive. */
  const callOff = async ({ jobId }: KeptJob): Promise<void> => {
    const error = `Formatting could not begin. ${NOTHING}`;
    const end = { state: 'failed', phase: 'holding', uuid: '', error } as const;
    await jobs
      .end(jobId, end, (statement) => ports.store.write(statement))
      // Whoever follows the jobs finds that it has ended, and tries again.
      .catch((cause: unknown) =>
        journal('error', 'That a format could not begin was not written down yet.', { job: jobId, cause: String(cause) }),
      );
  };

  /** What cannot be told may have begun: whoever follows the jobs finds out. */
  const mayHaveBegun = (jobId: string): Promise<boolean> =>
    driveFormat.state(jobId).then(
      (found) => found !== null && hasWritten(found.state),
      () => true,
    );

  const go = async ({ jobId }: KeptJob, { beforeWriting }: Permission, drive: HeldDrive): Promise<void> => {
    await beforeWriting();
    try {
      await drive.go();
    } catch (error) {
      if (!(await mayHaveBegun(jobId))) throw error;
      journal('warning', 'Whether a format has begun is not certain; it is followed.', { job: jobId, cause: String(error) });
    }
  };

  const write = async (job: KeptJob, target: Target, permission: Permission, drive: HeldDrive): Promise<void> => {
    await jobs.begin(job, [begun(job, target, permission), ...permission.statements(job.jobId)]);
    try {
      await go(job, permission, drive);
    } catch (error) {
      await callOff(job);
      throw error;
    }
    journal('notice', 'A drive is being formatted.', { job: job.jobId, device: job.device, vmid: job.vmid, fstype: job.fstype });
  };

  const perform = async (wish: Wish, permit: (drive: Drive) => Promise<Permission>): Promise<FormatJob> => {
    const first = await find(wish, []);
    const jobId = newId();
    const drive = await hold(first, jobId, wish);
    held.set(jobId, drive);
    try {
      const target = await find(wish, [first.drive.name]);
      if (!isSame(first, target)) throw refusal.changed();
      await requireFree(target, wish.vmid, drive.pid);
      const permission = await permit(target.drive);
      const job = jobFor(jobId, wish, target, permission);
      await write(job, target, permission, drive);
      return jobs.find(jobId) ?? job;
    } catch (error) {
      await drive.letGo();
      throw error;
    } finally {
      held.delete(jobId);
    }
  };

  return {
    begin: (wish, permit) =>
      inTurn(() => perform(wish, permit))
        .catch((error: unknown) => {
          if (!(error instanceof FelhomError)) journal('warning', 'A drive was not formatted.', { cause: String(error) });
          throw explained(error);
        })
        .finally(current.changed),
    wait: (jobId, ms) => jobs.wait(jobId, ms),
    job: (jobId) => jobs.find(jobId),
    jobs: () => jobs.all(),
    onChange: jobs.onChange,
    isStarting: (jobId) => held.has(jobId),
    close: async () => {
      await Promise.all([...held.values()].map((drive) => drive.letGo()));
    },
  };
};
