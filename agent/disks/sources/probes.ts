/**
 * What the drives themselves say: read once after each plugging in, and again only after something was written to one that nobody uses.
 * A drive that sleeps is left asleep; one that hangs is told, and never waited for by the others.
 */
import { type Clock, waitAtMost } from '#shared/clock';
import type { ReadBlockCounters } from '../../ports/block-counters.ts';
import { isLate } from '../../ports/command.ts';
import { type DriveCheck, DriveCheckError } from '../../ports/drive-check.ts';
import { deviceFile, type ProbeDevice } from '../../ports/probe.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Evidence, Known, Look, Probe, SeenMount } from '../inventory/evidence.ts';
import { type Lookable, lookablesIn, probeOf, type Way, wayInto } from './probe-of.ts';
import { createSlots } from './slots.ts';

export interface ProbePorts {
  clock: Clock;
  device: ProbeDevice;
  counters: ReadBlockCounters;
  check: Pick<DriveCheck, 'look' | 'lookAt'>;
  /** Asks without waking it. Where it rejects or takes too long, the drive is left alone. */
  isAsleep: (device: KernelDevice) => Promise<boolean>;
  /** The mounts of every namespace, as they are now. Never rejects. */
  mounts: () => Promise<Known<readonly SeenMount[]>>;
  /**
   * Whether its file systems may be looked into. Not where it is system anyway, and above all not where it was given to a guest: that
   * guest wrote what the host's kernel would have to read.
   */
  mayLook: (device: KernelDevice) => boolean;
  /** Neither read nor looked into for now, whatever was written to it: somebody has it for itself. */
  leaveAlone?: (device: KernelDevice) => boolean;
  /** How long a drive that was plugged in while the agent runs is left to those who mount it by themselves, before it is looked into. */
  settleMs?: number;
}

export interface Probes {
  /** Of drives only. Never rejects; waits two seconds at most for what was not read yet. */
  read(
    devices: readonly KernelDevice[],
    udev: Evidence['udev'],
  ): Promise<Pick<Evidence, 'probes' | 'looks' | 'asleep' | 'notAnswering'>>;
  /** What is known of a drive, without reading it. */
  last(name: string): Known<Probe> | undefined;
  /** Forgets all that is known of it. */
  forget(name: string): void;
  /** Reads it anew, also where that wakes it up, and resolves when that has ended, well or not. Never rejects. */
  again(device: KernelDevice): Promise<void>;
}

const WAIT_MS = 2_000;
const SETTLE_MS = 10_000;
/** Until the next reading at the earliest: of a drive that was written to, that hung, that failed. */
const AGAIN_MS = { read: 10_000, hung: 10_000, failed: 600_000 };
/** Until the next look at the earliest, where something passing was in the way. */
const LOOK_AGAIN_MS = 60_000;
/** Each is a process of 50 MB. */
const LOOKS_AT_ONCE = 4;

interface Seen {
  uuid: string;
  look: Known<Look>;
  hung: boolean;
  /** Infinity: only when something was written. */
  nextAt: number;
}

type Rest = 'awake' | 'asleep' | 'unsure';

interface Subject {
  /** What it is: another plugging in or another set of partitions is another subject. */
  print: string;
  settledAt: number;
  probe: Known<Probe> | null;
  /** The kernel's count before that reading; null: it does not count. */
  written: number | null;
  hung: boolean;
  nextAt: number;
  /** As it was when that last mattered. */
  rest: Rest;
  /** By the device that carries the file system. */
  looks: Map<string, Seen>;
  job: { startedAt: number; probing: boolean; done: Promise<void> } | null;
}

const unknown = (why: string): { known: false; why: string } => ({ known: false, why });

const ASLEEP = unknown('It is asleep, and was not woken up to be looked at.');
const UNSURE = unknown('It could not be told whether it is asleep, so it was left alone.');
const READING = unknown('It is being read.');
const HANGS = unknown('It does not answer.');
const SOON = unknown('Nobody has looked into it yet.');

const isHang = (error: unknown): boolean =>
  isLate(error) || (error instanceof DriveCheckError && (error.reason === 'hung' || error.reason === 'stuck'));

const whyOf = (error: unknown) => unknown(error instanceof Error ? error.message : String(error));

const printOf = ({ diskseq, numbers, path, sizeBytes, partitions }: KernelDevice): string =>
  JSON.stringify([
    diskseq ?? path,
    numbers,
    sizeBytes,
    partitions.map((part) => [part.name, part.numbers, part.startBytes, part.sizeBytes]),
  ]);

const isInUse = (device: KernelDevice, mounts: Known<readonly SeenMount[]>): boolean =>
  [device, ...device.partitions].some(
    ({ name, numbers, holders }) =>
      !mounts.known ||
      holders.length > 0 ||
      mounts.value.some(({ mount }) => mount.device === numbers || mount.source === deviceFile(name)),
  );

/** `late` where the work takes longer, or fails. */
const within = async <T, L>(clock: Clock, ms: number, work: Promise<T>, late: L): Promise<T | L> => {
  let result: T | L = late;
  const taken = work.then(
    (value) => {
      result = value;
    },
    () => undefined,
  );
  await waitAtMost(clock, ms, taken);
  return result;
};

export const createProbes = (ports: ProbePorts): Probes => {
  const {
    clock,
    device: port,
    counters,
    check,
    isAsleep,
    mounts,
    mayLook,
    leaveAlone = () => false,
    settleMs = SETTLE_MS,
  } = ports;
  const subjects = new Map<string, Subject>();
  const inSlot = createSlots(LOOKS_AT_ONCE);
  let isFirst = true;

  const subjectOf = (device: KernelDevice): Subject => {
    const known = subjects.get(device.name);
    const print = printOf(device);
    if (known?.print === print) return known;
    const subject: Subject = {
      print,
      settledAt: clock.monotonic() + (isFirst ? 0 : settleMs),
      probe: null,
      written: null,
      hung: false,
      nextAt: Number.NEGATIVE_INFINITY,
      rest: 'awake',
      looks: new Map(),
      job: null,
    };
    subjects.set(device.name, subject);
    return subject;
  };

  const stayed = async ({ name, diskseq }: KernelDevice): Promise<void> => {
    if (diskseq !== null && (await counters(name)).diskseq !== diskseq)
      throw new Error('It was exchanged for another while it was read.');
  };

  /** The name must mean the same drive before and after: else what was read belongs to another. */
  const readWhole = async (device: KernelDevice): Promise<Probe> => {
    if (device.sizeBytes === null || device.sizeBytes <= 0) throw new Error('There is no medium in it.');
    await stayed(device);
    const read = [];
    for (const { name, sizeBytes } of [device, ...device.partitions])
      read.push({ name, probed: await port.read(name, sizeBytes ?? 0) });
    await stayed(device);
    return probeOf(device, read);
  };

  const probe = async (device: KernelDevice, subject: Subject): Promise<void> => {
    const { sectorsWritten } = await counters(device.name);
    try {
      subject.probe = { known: true, value: await readWhole(device) };
      subject.hung = false;
      for (const [name, { look }] of subject.looks) if (!look.known) subject.looks.delete(name);
    } catch (error) {
      subject.hung = isHang(error);
      subject.probe = subject.hung ? HANGS : whyOf(error);
    }
    subject.written = sectorsWritten;
    const pause = subject.probe.known ? AGAIN_MS.read : subject.hung ? AGAIN_MS.hung : AGAIN_MS.failed;
    subject.nextAt = clock.monotonic() + pause;
  };

  const lookBy = (way: Exclude<Way, { by: 'waits' }>): Promise<Look> =>
    way.by === 'mount' ? check.lookAt(way.point, way.numbers, way.pid ?? undefined) : check.look(way.file, way.fstype);

  /** The kernel tells members of a btrfs by its id alone: of two that carry the same, mounting one may touch the other. */
  const copyOf = ({ device, fstype, uuid }: Lookable): 'none' | 'not-known' | 'there' => {
    if (fstype !== 'btrfs') return 'none';
    const all = [...subjects.values()];
    const found = all.flatMap(({ probe: one }) => (one?.known ? one.value.signatures : []));
    if (found.some((other) => other.uuid === uuid && other.device !== device)) return 'there';
    return all.some(({ job }) => job?.probing) ? 'not-known' : 'none';
  };

  const look = async (subject: Subject, one: Lookable, way: Way): Promise<Seen> => {
    const { uuid } = one;
    const later = (result: Known<Look>, ms: number, hung = false): Seen => ({
      uuid,
      look: result,
      hung,
      nextAt: clock.monotonic() + ms,
    });
    if (way.by === 'waits') return later(unknown(way.why), LOOK_AGAIN_MS);
    if (way.by === 'device') {
      if (clock.monotonic() < subject.settledAt) return { uuid, look: SOON, hung: false, nextAt: subject.settledAt };
      const copy = copyOf(one);
      if (copy === 'there') return later(unknown('Another drive carries the same file system.'), LOOK_AGAIN_MS);
      if (copy === 'not-known') return later(SOON, 0);
    }
    try {
      return later({ known: true, value: await inSlot(() => lookBy(way)) }, Number.POSITIVE_INFINITY);
    } catch (error) {
      if (isHang(error)) return later(HANGS, LOOK_AGAIN_MS, true);
      if (error instanceof DriveCheckError && error.code === 'EBUSY') return later(whyOf(error), LOOK_AGAIN_MS);
      return later(whyOf(error), way.by === 'mount' ? AGAIN_MS.failed : Number.POSITIVE_INFINITY);
    }
  };

  const toLookInto = (device: KernelDevice, subject: Subject, udev: Evidence['udev']): Lookable[] => {
    if (!subject.probe?.known || !mayLook(device)) return [];
    return lookablesIn(subject.probe.value, device).filter((one) => {
      // While udev is busy with it, whoever waits for udev is about to mount it.
      if (udev.known && !udev.value.has(one.device)) return false;
      const seen = subject.looks.get(one.device);
      return seen === undefined || seen.uuid !== one.uuid || clock.monotonic() >= seen.nextAt;
    });
  };

  const lookAround = async (device: KernelDevice, subject: Subject, udev: Evidence['udev']): Promise<void> => {
    const wanted = toLookInto(device, subject, udev);
    const seen = wanted.length === 0 ? unknown('') : await mounts();
    for (const one of wanted) subject.looks.set(one.device, await look(subject, one, wayInto(one, seen)));
  };

  const start = (device: KernelDevice, subject: Subject, udev: Evidence['udev'], probing: boolean): Promise<void> => {
    const work = async (): Promise<void> => {
      if (probing) await probe(device, subject);
      job.probing = false;
      await lookAround(device, subject, udev);
    };
    const job = { startedAt: clock.monotonic(), probing, done: Promise.resolve() };
    subject.job = job;
    job.done = work().finally(() => {
      subject.job = null;
    });
    return job.done;
  };

  const isDue = (device: KernelDevice, subject: Subject, seen: Known<readonly SeenMount[]>): boolean => {
    if (subject.probe === null) return true;
    if (clock.monotonic() < subject.nextAt) return false;
    if (!subject.probe.known) return true;
    const isUntouched = subject.written !== null && subject.written === device.sectorsWritten;
    return !isUntouched && !isInUse(device, seen);
  };

  const restOf = async (device: KernelDevice): Promise<Rest> => {
    if (device.suspended) return 'asleep';
    const asleep = await within(clock, WAIT_MS, isAsleep(device), null);
    return asleep === null ? 'unsure' : asleep ? 'asleep' : 'awake';
  };

  /** It is only asked whether it sleeps when there is something to read: each question may put its falling asleep off. */
  const attend = async (device: KernelDevice, subject: Subject, udev: Evidence['udev'], seen: Known<readonly SeenMount[]>) => {
    if (leaveAlone(device)) return subject.rest;
    const probing = subject.job === null && isDue(device, subject, seen);
    if (probing || (subject.job === null && toLookInto(device, subject, udev).length > 0)) {
      subject.rest = await restOf(device);
      if (subject.rest === 'awake' && subject.job === null) void start(device, subject, udev, probing);
    }
    if (subject.job !== null) {
      const left = subject.job.startedAt + WAIT_MS - clock.monotonic();
      if (left > 0) await within(clock, left, subject.job.done, undefined);
    }
    return device.suspended ? 'asleep' : subject.rest;
  };

  const probeNow = ({ probe: known, job, hung }: Subject, rest: Rest): Known<Probe> => {
    if (hung) return HANGS;
    if (job?.probing) return READING;
    return known ?? (rest === 'asleep' ? ASLEEP : rest === 'unsure' ? UNSURE : READING);
  };

  const looksNow = (device: KernelDevice, { looks }: Subject, probed: Known<Probe>): [string, Known<Look>][] => {
    if (!probed.known || !mayLook(device)) return [];
    return lookablesIn(probed.value, device).map((one) => {
      const seen = looks.get(one.device);
      return [one.device, seen?.uuid === one.uuid ? seen.look : SOON];
    });
  };

  const isHung = ({ hung, looks }: Subject): boolean => hung || [...looks.values()].some((seen) => seen.hung);

  return {
    read: async (devices, udev) => {
      const names = new Set(devices.map(({ name }) => name));
      for (const name of subjects.keys()) if (!names.has(name)) subjects.delete(name);
      const seen = await within(clock, WAIT_MS, mounts(), unknown('The mounts could not be read in time.'));
      const read = await Promise.all(
        devices.map(async (device) => {
          const subject = subjectOf(device);
          const rest = await attend(device, subject, udev, seen);
          const probed = probeNow(subject, rest);
          return { name: device.name, rest, probed, looks: looksNow(device, subject, probed), hung: isHung(subject) };
        }),
      );
      isFirst = false;
      return {
        probes: new Map(read.map(({ name, probed }) => [name, probed])),
        looks: new Map(read.flatMap(({ looks }) => looks)),
        asleep: new Set(read.filter(({ rest }) => rest === 'asleep').map(({ name }) => name)),
        notAnswering: new Set(read.filter(({ hung }) => hung).map(({ name }) => name)),
      };
    },

    last: (name) => subjects.get(name)?.probe ?? undefined,

    forget: (name) => {
      subjects.delete(name);
    },

    again: async (device) => {
      if (leaveAlone(device)) return;
      const subject = subjectOf(device);
      while (subject.job !== null) await subject.job.done;
      await start(device, subject, unknown(''), true);
    },
  };
};
