/** The drives as they are now: one look at a time, kept for a few seconds, and answered in time whatever hangs. */
import { type Clock, waitAtMost } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { Journal } from '../../ports/journal.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Inventory } from '../inventory/drive.ts';
import type { Evidence } from '../inventory/evidence.ts';
import type { Records } from './records.ts';

/** What the devices themselves said, as against what is said about them. */
export type Probed = Pick<Evidence, 'probes' | 'looks' | 'asleep' | 'notAnswering'>;
type Gathered = Omit<Evidence, keyof Probed>;

export interface Look {
  inventory: Inventory;
  evidence: Evidence;
}

export interface CurrentPorts {
  clock: Clock;
  journal: Journal;
  /** Asks every source. Never rejects; each source has its deadline. */
  gather: () => Promise<Gathered>;
  /** Which of the kernel's devices are drives, in their order. */
  drivesOf: (devices: readonly KernelDevice[]) => KernelDevice[];
  probes: {
    /** What is known of each device from reading it, read now where it was not yet. */
    read(devices: readonly KernelDevice[], udev: Evidence['udev']): Promise<Probed>;
    /** Reads it anew, though nothing was plugged in since; wakes it where it sleeps, so that it may take a while. */
    again(device: KernelDevice): Promise<void>;
  };
  /** With what is remembered and configured at this moment. Pure otherwise. */
  conclude: (evidence: Evidence) => Inventory;
  records: Pick<Records, 'drives' | 'note'>;
  /** Told of every look that ended, oldest first. */
  onLook: (look: Look) => void;
}

export interface Current {
  /** Of the last seconds; rejects (`not-known`) only while nothing was ever found out. Answers within four seconds. */
  inventory(): Promise<{ inventory: Inventory; ageMs: number }>;
  /**
   * Looked at after this was called, for whoever acts on it; every drive in it has its record. `probe` names drives that are read
   * anew, though nothing was plugged in since. Rejects (`drive-not-answering`) when the look does not end in time.
   */
  fresh(probe?: readonly string[]): Promise<Inventory>;
  /** To be called when something was done to a drive: whoever asks from now on is not answered with an older look. */
  changed(): void;
  /** The newest whole look; null before the first. For what may be a little old. */
  last(): Look | null;
}

/** A look is answered again for so long. */
const KEEP_MS = 5_000;
/** How long whoever only wants to see the drives waits; the answer as a whole takes less than 4 s. */
const ANSWER_MS = 3_500;
/** How long a deed waits for its look, and of that for drives that are read anew: one that spins up is read to its end for the next one who asks. */
const FRESH_MS = 8_000;
const AGAIN_MS = 4_000;
/** Every source has a deadline of its own. A look that goes on all the same is given up. */
const LOOK_MS = 20_000;

interface Flight {
  startedAt: number;
  done: Promise<Done>;
}

/** `unrecorded`: why the database did not take what is new; then nothing may rest on it. */
interface Done extends Look {
  startedAt: number;
  unrecorded: unknown;
}

const notInTime = () =>
  new FelhomError(
    'drive-not-answering',
    'The drives of this host did not answer in time, so nothing was done. Please try again in a minute.',
  );

const sameRecords = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((record, index) => record === b[index]);

export const createCurrent = (ports: CurrentPorts): Current => {
  const { clock, journal, gather, drivesOf, probes, conclude, records, onLook } = ports;
  let newest: Done | null = null;
  let failure: unknown = null;
  let endedAt = Number.NEGATIVE_INFINITY;
  /** Looks that began before this do not show what was done since. */
  let validFrom = Number.NEGATIVE_INFINITY;
  let flying: Flight | null = null;
  let next: Promise<Done> | null = null;
  const toProbe = new Set<string>();
  const probing = new Set<string>();

  const again = async (device: KernelDevice): Promise<void> => {
    probing.add(device.name);
    await probes.again(device).finally(() => probing.delete(device.name));
  };

  /** It is waited for once: whoever asks after a drive that hangs, again and again, keeps nobody else waiting. */
  const isStuck = ({ name }: KernelDevice): boolean => probing.has(name) && newest?.evidence.notAnswering.has(name) === true;

  const probed = async (gathered: Gathered): Promise<Evidence> => {
    const devices = gathered.kernel.known ? drivesOf(gathered.kernel.value) : [];
    const anew = devices.filter((device) => toProbe.delete(device.name) && !isStuck(device));
    toProbe.clear();
    if (anew.length > 0) await waitAtMost(clock, AGAIN_MS, Promise.all(anew.map(again)));
    return { ...gathered, ...(await probes.read(devices, gathered.udev)) };
  };

  /** What is new is durable before anybody sees it. */
  const remembered = async (evidence: Evidence): Promise<Pick<Done, 'inventory' | 'unrecorded'>> => {
    const seen = conclude(evidence);
    const before = records.drives();
    try {
      await records.note(seen);
    } catch (unrecorded) {
      journal('error', 'What is new about the drives could not be recorded.', { cause: String(unrecorded) });
      return { inventory: seen, unrecorded };
    }
    return { inventory: sameRecords(before, records.drives()) ? seen : conclude(evidence), unrecorded: null };
  };

  const look = async (startedAt: number): Promise<Done> => {
    const evidence = await probed(await gather());
    return { evidence, startedAt, ...(await remembered(evidence)) };
  };

  const land = (done: Done): void => {
    if (newest !== null && newest.startedAt > done.startedAt) return;
    newest = done;
    failure = null;
    onLook(done);
  };

  const launch = (): Promise<Done> => {
    const startedAt = clock.monotonic();
    const done = inTime(look(startedAt), LOOK_MS)
      .then((found) => {
        land(found);
        return found;
      })
      .catch((error: unknown) => {
        failure = error;
        throw error;
      })
      .finally(() => {
        endedAt = clock.monotonic();
        if (flying === flight) flying = null;
      });
    const flight: Flight = { startedAt, done };
    flying = flight;
    return done;
  };

  /** Rejects with the late one's error when `work` takes longer. */
  const inTime = async <T>(work: Promise<T>, ms: number): Promise<T> => {
    let ended = false;
    const result = work.finally(() => {
      ended = true;
    });
    result.catch(() => undefined);
    await waitAtMost(clock, ms, result);
    if (!ended) throw notInTime();
    return result;
  };

  /** The look under way if it will do, otherwise the one after it, which all who wait for it share. */
  const lookWhere = (willDo: (flight: Flight) => boolean): Promise<Done> => {
    if (flying === null) return next ?? launch();
    if (willDo(flying)) return flying.done;
    next ??= flying.done
      .catch(() => undefined)
      .then(() => {
        next = null;
        return launch();
      });
    return next;
  };

  const answer = (): { inventory: Inventory; ageMs: number } => {
    if (newest !== null) return { inventory: newest.inventory, ageMs: clock.monotonic() - newest.startedAt };
    throw failure instanceof FelhomError
      ? failure
      : new FelhomError(
          'not-known',
          'The drives of this host could not be looked at yet. Please try again in a minute.',
          failure ?? undefined,
        );
  };

  const isKept = (): boolean => newest !== null && newest.startedAt > validFrom && clock.monotonic() - endedAt < KEEP_MS;

  return {
    inventory: async () => {
      if (isKept()) return answer();
      const { startedAt } = flying ?? { startedAt: clock.monotonic() };
      const found = lookWhere((flight) => flight.startedAt > validFrom).catch(() => undefined);
      // Whoever comes late waits only for what is left: a hung source delays one answer, not each.
      const left = startedAt + ANSWER_MS - clock.monotonic();
      if (left > 0) await waitAtMost(clock, left, found);
      return answer();
    },
    fresh: async (probe = []) => {
      for (const name of probe) toProbe.add(name);
      const { inventory, unrecorded } = await inTime(
        lookWhere(() => false),
        FRESH_MS,
      );
      if (unrecorded !== null) throw unrecorded;
      return inventory;
    },
    changed: () => {
      validFrom = clock.monotonic();
    },
    last: () => newest,
  };
};
