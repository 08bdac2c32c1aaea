/**
 * Proves drives blank: each that looks empty and that nobody uses is read to its end, one at a time, behind everything else the host
 * does. What was found holds until the kernel counts a write to the drive, or the drive is plugged in anew, or the host starts anew.
 */
import type { Clock } from '#shared/clock';
import type { ReadBlockCounters } from '../../ports/block-counters.ts';
import { type DriveCheck, DriveCheckError } from '../../ports/drive-check.ts';
import type { Journal } from '../../ports/journal.ts';
import { deviceFile } from '../../ports/probe.ts';
import type { Statement, Store } from '../../ports/store.ts';
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { BlankState } from '../inventory/data.ts';
import type { Drive, Inventory } from '../inventory/drive.ts';

export interface BlankProofPorts {
  clock: Clock;
  journal: Journal;
  store: Pick<Store, 'all' | 'write'>;
  /** Another at each start of the host: /proc/sys/kernel/random/boot_id, random(4). */
  bootId: () => Promise<string>;
  check: Pick<DriveCheck, 'zeros'>;
  counters: ReadBlockCounters;
  isAsleep: (device: KernelDevice) => Promise<boolean>;
  /** Whether nothing at all was found on it where signatures lie. */
  isClean: (name: string) => boolean;
  /** A backup runs, or something else that the reading must not slow down. */
  busy: () => boolean;
}

export interface BlankProofs {
  /** By kernel name. A device is taken as it is handed in: its plugging in, its size, its count of written sectors. */
  states(devices: readonly KernelDevice[]): Map<string, BlankState>;
  /** To be told of every new inventory: begins, goes on, and gives up. Never throws. */
  tick(inventory: Inventory): void;
  /** Ends the reading; what it had read is read again another time. */
  close(): void;
}

interface Proof {
  sizeBytes: number;
  /** The kernel's count when the reading began. */
  written: number;
  blank: boolean;
  firstDataAt: number | null;
}

interface Reading {
  device: KernelDevice;
  diskseq: number;
  sizeBytes: number;
  written: number;
  /** All before it is zero; a multiple of 1 MiB. */
  at: number;
  /** Null while it is paused. */
  stop: AbortController | null;
}

interface Row {
  diskseq: number;
  size_bytes: number;
  sectors_written: number | null;
  blank: number;
  first_data_at: number | null;
}

const MIB = 1024 ** 2;
const LOOK_AT_BUSY_MS = 2_000;
/** After a reading that failed, until the next try. */
const PAUSE_MS = 3_600_000;

const save = (boot: string, diskseq: number, proof: Proof, now: number): Statement => ({
  sql: 'INSERT OR REPLACE INTO blank_proofs (boot_id, diskseq, size_bytes, sectors_written, blank, first_data_at, finished_at) VALUES (?, ?, ?, ?, ?, ?, ?)',
  values: [boot, diskseq, proof.sizeBytes, proof.written, proof.blank ? 1 : 0, proof.firstDataAt, now],
});

const forget = (boot: string, diskseq: number): Statement => ({
  sql: 'DELETE FROM blank_proofs WHERE boot_id = ? AND diskseq = ?',
  values: [boot, diskseq],
});

/** Whoever used it may have written in ways that the kernel does not count: a guest through SCSI commands of its own, for one. */
const wasUsed = ({ holders, reasons }: Drive): boolean => holders.length > 0 || reasons.some(({ lasting }) => lasting);

const stateOf = ({ blank, firstDataAt }: Proof): BlankState => {
  if (blank) return { state: 'proved' };
  return firstDataAt === null ? { state: 'unreadable' } : { state: 'data', at: firstDataAt };
};

export const createBlankProofs = (ports: BlankProofPorts): BlankProofs => {
  const { clock, journal, store, bootId, check, counters, isAsleep, isClean, busy } = ports;
  /** By diskseq. */
  const proofs = new Map<number, Proof>();
  const notBefore = new Map<number, number>();
  let reading: Reading | null = null;
  let starting = false;
  let closed = false;
  let boot = '';
  let cancelWatch = () => {};

  const load = async (): Promise<void> => {
    boot = await bootId();
    await store.write({ sql: 'DELETE FROM blank_proofs WHERE boot_id <> ?', values: [boot] });
    for (const row of await store.all<Row>('SELECT * FROM blank_proofs')) {
      const { diskseq, size_bytes: sizeBytes, sectors_written: written, blank, first_data_at: firstDataAt } = row;
      if (written !== null) proofs.set(diskseq, { sizeBytes, written, blank: blank === 1, firstDataAt });
    }
  };

  const record = (what: string, statement: Statement): void => {
    store.write(statement).catch((error: unknown) => journal('error', what, { cause: String(error) }));
  };

  const loaded = load().then(
    () => true,
    (error: unknown) => {
      journal('error', 'What was found out about empty drives could not be read from the database.', { cause: String(error) });
      return false;
    },
  );

  const proofOf = ({ diskseq, sizeBytes, sectorsWritten }: KernelDevice): Proof | null => {
    const proof = diskseq === null ? undefined : proofs.get(diskseq);
    if (proof === undefined || sectorsWritten === null) return null;
    return proof.sizeBytes === sizeBytes && sectorsWritten <= proof.written ? proof : null;
  };

  const drop = (diskseq: number): void => {
    if (proofs.delete(diskseq)) record('A proof that a drive is empty could not be taken back.', forget(boot, diskseq));
  };

  const isCandidate = (drive: Drive): boolean =>
    drive.role === 'user-data' &&
    drive.state === 'available' &&
    !wasUsed(drive) &&
    drive.filesystems.length === 0 &&
    drive.twins.length === 0 &&
    drive.device.partitions.length === 0 &&
    isClean(drive.name);

  const finish = async (one: Reading, proof: Proof): Promise<void> => {
    const { diskseq, sectorsWritten } = await counters(one.device.name);
    // Written to meanwhile: what was read first may be something else by now.
    if (diskseq !== one.diskseq || sectorsWritten === null || sectorsWritten > one.written) return;
    proofs.set(one.diskseq, proof);
    record('What was found out about an empty drive could not be written down.', save(boot, one.diskseq, proof, clock.now()));
  };

  const failed = async (one: Reading, error: unknown): Promise<void> => {
    notBefore.set(one.diskseq, clock.monotonic() + PAUSE_MS);
    journal('warning', 'A drive that looks empty could not be read to its end.', {
      drive: one.device.name,
      cause: error instanceof Error ? error.message : String(error),
    });
    const isUnreadable = error instanceof DriveCheckError && error.reason === 'failed';
    if (isUnreadable) await finish(one, { sizeBytes: one.sizeBytes, written: one.written, blank: false, firstDataAt: null });
  };

  const read = async (one: Reading): Promise<void> => {
    const stop = new AbortController();
    one.stop = stop;
    watch();
    const onProgress = (bytes: number): void => {
      one.at = Math.floor(bytes / MIB) * MIB;
    };
    try {
      const found = await check.zeros(deviceFile(one.device.name), one.sizeBytes, {
        signal: stop.signal,
        onProgress,
        from: one.at,
      });
      await finish(one, { sizeBytes: one.sizeBytes, written: one.written, ...found });
    } catch (error) {
      if (stop.signal.aborted) return;
      one.stop = null;
      // What was stopped before has not ended yet: another time.
      if (error instanceof DriveCheckError && error.reason === 'stuck') return;
      await failed(one, error);
    }
    if (reading === one) reading = null;
  };

  const pause = (): void => {
    reading?.stop?.abort();
    if (reading !== null) reading.stop = null;
  };

  const giveUp = (): void => {
    pause();
    reading = null;
  };

  /** Between two inventories too: a backup that begins is not kept waiting. */
  const watch = (): void => {
    cancelWatch();
    cancelWatch = clock.after(LOOK_AT_BUSY_MS, () => {
      if (reading === null || reading.stop === null) return;
      if (busy()) pause();
      else watch();
    });
  };

  /** Where a paused reading cannot go on, because something was written since, it begins anew. */
  const begin = async (drive: Drive): Promise<void> => {
    const { device } = drive;
    const { diskseq, sectorsWritten } = await counters(device.name);
    if (diskseq === null || diskseq !== device.diskseq || sectorsWritten === null || device.sizeBytes === null) return giveUp();
    if (await isAsleep(device)) return;
    if (closed || busy()) return;
    const isOld = reading !== null && reading.diskseq === diskseq && sectorsWritten <= reading.written;
    const one: Reading = isOld
      ? (reading as Reading)
      : { device, diskseq, sizeBytes: device.sizeBytes, written: sectorsWritten, at: 0, stop: null };
    reading = one;
    void read(one);
  };

  const next = ({ drives }: Inventory): Drive | undefined => {
    const open = drives.filter(
      (drive) =>
        isCandidate(drive) &&
        proofOf(drive.device) === null &&
        clock.monotonic() >= (notBefore.get(drive.device.diskseq ?? 0) ?? 0),
    );
    return open.find(({ device }) => device.diskseq === reading?.diskseq) ?? open[0];
  };

  const act = async (inventory: Inventory): Promise<void> => {
    if (!(await loaded) || closed) return;
    for (const drive of inventory.drives) {
      if (drive.device.diskseq !== null && wasUsed(drive)) drop(drive.device.diskseq);
    }
    const drive = next(inventory);
    if (reading !== null && reading.diskseq !== drive?.device.diskseq) giveUp();
    if (busy()) return pause();
    if (drive !== undefined && (reading === null || reading.stop === null)) await begin(drive);
  };

  return {
    states: (devices) =>
      new Map(
        devices.map((device): [string, BlankState] => {
          if (reading !== null && reading.diskseq === device.diskseq)
            return [device.name, { state: 'reading', readFraction: reading.at / reading.sizeBytes }];
          const proof = proofOf(device);
          return [device.name, proof === null ? { state: 'unread' } : stateOf(proof)];
        }),
      ),

    tick: (inventory) => {
      if (starting) return;
      starting = true;
      act(inventory)
        .catch((error: unknown) => journal('error', 'An empty drive could not be read.', { cause: String(error) }))
        .finally(() => {
          starting = false;
        });
    },

    close: () => {
      closed = true;
      cancelWatch();
      giveUp();
    },
  };
};
