/**
 * What udevd is on a host: whoever attaches one of the demo's files again, under whatever name, or has written to one that nobody has
 * mounted, finds it described in its database.
 */
import { readdir, readFile } from 'node:fs/promises';
import { type Lab, type LabDrive, outcome } from '../system/drives/lab.ts';

const EVERY_MS = 500;

/** A drive as it is attached now. */
interface Attached extends LabDrive {
  /** Another one at each time. */
  diskseq: string;
  /** Sectors ever written to it, as linux:Documentation/block/stat.rst counts them. */
  written: string;
}

const SECTORS_WRITTEN = 6;

const line = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).trim();

const attachedNow = async (drives: readonly LabDrive[]): Promise<Attached[]> => {
  const found = await Promise.all(
    (await readdir('/sys/block')).map(async (name): Promise<Attached[]> => {
      const file = await line(`/sys/block/${name}/loop/backing_file`);
      const drive = drives.find((one) => one.file === file);
      const facts = ['dev', 'diskseq', 'stat'].map((fact) => line(`/sys/block/${name}/${fact}`));
      const [numbers = '', diskseq = '', stat = ''] = await Promise.all(facts);
      const written = stat.split(/\s+/)[SECTORS_WRITTEN] ?? '';
      return drive === undefined ? [] : [{ ...drive, name, numbers, device: `/dev/${name}`, diskseq, written }];
    }),
  );
  return found.flat();
};

const isMounted = async ({ device }: LabDrive): Promise<boolean> =>
  new RegExp(` ${device}(p\\d+)? `).test(await readFile('/proc/self/mountinfo', 'utf8'));

/** What was known of a drive at the last look. */
interface Described extends Pick<Attached, 'diskseq' | 'written'> {
  /** It was being written then: it is described when that has ended. */
  dirty: boolean;
}

/** @param drives as they were described when they were made */
export const followDrives = (lab: Pick<Lab, 'settle' | 'unsettle'>, drives: readonly LabDrive[]) => {
  /** By number; null until the first look. */
  let described: ReadonlyMap<string, Described> | null = null;

  const lookAt = async ({ diskseq, written, ...drive }: Attached): Promise<Described> => {
    const before = described?.get(drive.numbers);
    if (described !== null && before?.diskseq !== diskseq) {
      await outcome('partx', '-u', drive.device);
      await lab.settle(drive);
      return { diskseq, written, dirty: false };
    }
    const isWritten = before !== undefined && before.written !== written;
    const hasEnded = before?.dirty === true && !isWritten && !(await isMounted(drive));
    if (hasEnded) await lab.settle(drive);
    return { diskseq, written, dirty: isWritten || (before?.dirty === true && !hasEnded) };
  };

  const look = async (): Promise<void> => {
    const now = await attachedNow(drives);
    const next = new Map<string, Described>();
    for (const drive of now) next.set(drive.numbers, await lookAt(drive));
    for (const numbers of described?.keys() ?? []) if (!next.has(numbers)) await lab.unsettle(numbers);
    described = next;
  };

  let looking: Promise<void> | null = null;
  const timer = setInterval(() => {
    // A drive may be gone by the time that it is read: at the next look it is known.
    looking ??= look()
      .catch(() => undefined)
      .finally(() => {
        looking = null;
      });
  }, EVERY_MS);
  return {
    close: async (): Promise<void> => {
      clearInterval(timer);
      await looking;
    },
  };
};
