/** A guest's request to format a drive: read strictly, joined where it was asked before, and refused with what it takes. */
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { FormatDisk, Formatted } from '#shared/wire/disks';
import { auditEntry } from '../../audit.ts';
import type { AgentConfig, Filesystem } from '../../config.ts';
import type { Op } from '../../ops/op.ts';
import type { DriveFormat } from '../../ports/drive-format.ts';
import { sameUuid } from '../deeds/candidate.ts';
import { createLate, stillAtWork } from '../deeds/late.ts';
import type { Drive, Inventory } from '../inventory/drive.ts';
import { takenKey } from '../inventory/identity.ts';
import { sentenceForGuests } from '../inventory/role.ts';
import type { Current } from '../known/current.ts';
import { type Claims, claim } from '../known/ownership.ts';
import type { Records } from '../known/records.ts';
import type { Confirmations } from './confirmations.ts';
import { type Decision, decide, findNamed, type Named, namedIn, type Terms } from './decide.ts';
import type { FormatJob, Formatting, Permission } from './format.ts';
import { formattedView } from './job-view.ts';
import { explained, NOTHING, refusal } from './refusals.ts';

export interface AskPorts {
  clock: Clock;
  /** `host_scope` of this host. */
  hostScope: string;
  current: Pick<Current, 'fresh' | 'inventory'>;
  records: Pick<Records, 'assignments'>;
  settings: () => Pick<AgentConfig['disks'], 'filesystems'>;
  claims: () => Claims;
  writesOff: () => string;
  confirmations: Confirmations;
  formatting: Pick<Formatting, 'begin' | 'wait' | 'jobs'>;
  driveFormat: Pick<DriveFormat, 'missing' | 'minBytes'>;
  /** The operation that only the operator's signature permits. */
  openOp: (drive: Drive, wish: { vmid: number; fstype: Filesystem }) => Promise<Op>;
}

/** A request, read strictly. */
interface Wanted {
  vmid: number;
  /** A kernel name. */
  name: string;
  fstype: Filesystem;
  confirmed: boolean;
  askedId: string;
}

/** As long as a job is waited for, from the call on. */
const ANSWER_MS = 9_500;
const JOIN_MS = 86_400_000;

/** Kernel names have no slash but those that stand for one, `cciss!c0d0`. */
const NAME = /^(?:\/dev\/)?([A-Za-z0-9][A-Za-z0-9!_-]{0,63})$/;

const readWanted = (vmid: number, body: FormatDisk, filesystems: readonly Filesystem[]): Wanted => {
  const [, name] = NAME.exec(body.device) ?? [];
  if (name === undefined) throw refusal.noName();
  const fstype = filesystems.find((one) => one === body.fstype);
  if (fstype === undefined) throw refusal.filesystem(filesystems);
  return { vmid, name, fstype, confirmed: body.confirmed === true, askedId: body.durable_id ?? '' };
};

/** Whether it is the same request as the one that this job came from. */
const isSameWish = (job: FormatJob, { vmid, fstype, askedId }: Wanted): boolean =>
  job.vmid === vmid &&
  job.fstype === fstype &&
  (askedId === job.askedId ||
    (job.boundId !== '' && askedId === job.boundId) ||
    (job.opId !== '' && (askedId === '' || askedId === job.opId)));

const named = ({ identity: { model, serial } }: Drive): string =>
  [model, serial === '' ? '' : `serial number ${serial}`].filter((word) => word !== '').join(', ') || 'of no name';

export const createAsk = (ports: AskPorts) => {
  const { clock, current, confirmations, formatting } = ports;
  const late = createLate<FormatJob>(clock);

  const termsFor = async ({ vmid, fstype }: Wanted, missing: Inventory['missing']): Promise<Terms> => ({
    ...{ vmid, fstype, missing, claims: ports.claims(), assignments: ports.records.assignments() },
    ...{ writesOff: ports.writesOff(), now: clock.now() },
    mkfsMissing: await ports.driveFormat.missing(fstype),
    minBytes: ports.driveFormat.minBytes(fstype),
  });

  const operatorNeeded = async (drive: Drive, { vmid, fstype }: Wanted): Promise<FelhomError> => {
    const op = await ports.openOp(drive, { vmid, fstype });
    const [first] = drive.reasons;
    const why = first === undefined ? '' : ` ${sentenceForGuests(first)}`;
    return new FelhomError(
      'operator-needed',
      `Only the operator can permit that ${drive.name} (${named(drive)}) is erased.${why} ${NOTHING} Ask the operator for a signature for operation ${op.id}.`,
      undefined,
      {
        pendingOp: {
          ...{ id: op.id, op: op.op, hostScope: ports.hostScope, durableId: op.durableId },
          ...{ fstype: op.fstype, device: `/dev/${drive.name}` },
        },
      },
    );
  };

  const confirmationNeeded = async ({ drive, isWhole }: Named, { name, vmid, fstype }: Wanted): Promise<FelhomError> => {
    const durableId = await confirmations.ask(drive, { vmid, fstype });
    const part = isWhole ? '' : `${name} is a part of ${drive.name}, and only whole drives are formatted. `;
    return new FelhomError(
      'needs-confirmation',
      `${part}Everything on the whole drive ${drive.name} (${named(drive)}) would be erased. ${drive.dataReason} ${NOTHING} Confirm within 15 minutes that you want that.`,
      undefined,
      { needsConfirmation: { durableId, device: `/dev/${drive.name}` } },
    );
  };

  const audited = ({ vmid, askedId }: Wanted, jobId: string) =>
    auditEntry(clock, `guest ${vmid}`, 'format-confirmed', { job: jobId, durable_id: askedId });

  /** What permits it for this drive as it is; throws what is missing. */
  const permission = async (whole: Named, wanted: Wanted, { needs, owner }: Decision): Promise<Permission> => {
    const { drive, isWhole } = whole;
    const { vmid, fstype, confirmed, askedId } = wanted;
    const common = { opId: '', owner, beforeWriting: async () => undefined };
    if (needs === 'operator') throw await operatorNeeded(drive, wanted);
    if (needs === 'format') return { ...common, by: 'blank', boundId: '', statements: () => [] };
    if (!isWhole || !confirmed || !(await confirmations.holds(askedId, drive, { vmid, fstype })))
      throw await confirmationNeeded(whole, wanted);
    return {
      ...common,
      ...{ by: 'confirmed', boundId: askedId },
      statements: (jobId) => [confirmations.use(askedId), audited(wanted, jobId)],
    };
  };

  /** A copy of it on another drive was never formatted, and what a later format has spoilt is not what this one made. */
  const isAsMade = (drive: Drive | undefined, { uuid, model, serial, sizeBytes }: FormatJob): boolean =>
    drive?.format === undefined &&
    drive?.record?.keys.some((key) => takenKey(uuid).includes(key)) === true &&
    [drive.identity.model, drive.identity.serial, drive.identity.sizeBytes].join('\n') ===
      [model, serial, sizeBytes].join('\n') &&
    drive.filesystems.some((one) => sameUuid(one.uuid, uuid));

  /** Under way, or done within a day and still as it was made. */
  const joined = (wanted: Wanted, { drives }: Pick<Inventory, 'drives'>): FormatJob | undefined => {
    const now = clock.now();
    const drive = drives.find(({ name }) => name === wanted.name);
    return formatting.jobs().find((job) => {
      if (!isSameWish(job, wanted)) return false;
      if (job.state === 'running') return job.device === wanted.name;
      return job.state === 'done' && now - (job.finishedAt ?? 0) <= JOIN_MS && isAsMade(drive, job);
    });
  };

  /**
   * The drives as they are at this moment, and the one that is meant read anew, which wakes it where it sleeps: what is another's is
   * refused before.
   */
  const look = async ({ name, vmid }: Wanted): Promise<Inventory> => {
    const { inventory: known } = await current.inventory();
    const before = namedIn(known, name);
    if (before !== undefined) claim(before.drive, vmid, ports.claims(), clock.now());
    const inventory = await current.fresh([name]);
    const { drive, isWhole } = findNamed(inventory, name);
    return isWhole ? inventory : current.fresh([drive.name]);
  };

  const perform = async (wanted: Wanted): Promise<FormatJob> => {
    const under = joined(wanted, { drives: [] });
    if (under !== undefined) return under;
    const inventory = await look(wanted);
    const found = findNamed(inventory, wanted.name);
    const before = joined(wanted, inventory);
    if (before !== undefined) {
      // Another guest may have its number by now.
      claim(found.drive, wanted.vmid, ports.claims(), clock.now());
      return before;
    }
    const terms = await termsFor(wanted, inventory.missing);
    await permission(found, wanted, decide(found, terms));
    const { vmid, fstype, askedId } = wanted;
    const find = (later: Inventory): Drive => {
      const { drive, isWhole } = findNamed(later, wanted.name);
      if (!isWhole || drive.device.diskseq !== found.drive.device.diskseq) throw refusal.changed();
      return drive;
    };
    return formatting.begin({ vmid, fstype, askedId, find }, async (drive) => {
      // Nothing is missing: whoever begins has looked.
      const now = { drive, isWhole: true };
      return permission(now, wanted, decide(now, await termsFor(wanted, [])));
    });
  };

  /** In short words; how it failed is in its job. */
  const answerOf = (job: FormatJob): Formatted => {
    if (job.state === 'failed' || job.state === 'interrupted') throw new FelhomError('format-failed', job.error);
    return formattedView(job);
  };

  return async (vmid: number, body: FormatDisk): Promise<Formatted> => {
    const startedAt = clock.monotonic();
    const wanted = readWanted(vmid, body, ports.settings().filesystems);
    const act = () =>
      perform(wanted).catch((error: unknown) => {
        throw explained(error);
      });
    const pending = () => stillAtWork('The drive takes long to answer.');
    // What has begun is joined by what is on record of it.
    const { jobId } = await late(JSON.stringify(wanted), act, pending, () => false);
    return answerOf(await formatting.wait(jobId, startedAt + ANSWER_MS - clock.monotonic()));
  };
};
