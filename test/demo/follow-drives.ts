/** What udevd is on a host: whoever attaches one of the demo's files again, under whatever name, finds it described in its database. */
import { readdir, readFile } from 'node:fs/promises';
import { type Lab, type LabDrive, outcome } from '../system/drives/lab.ts';

const EVERY_MS = 500;

/** A drive as it is attached now. `diskseq` is another at each time. */
interface Attached extends LabDrive {
  diskseq: string;
}

const line = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).trim();

const attachedNow = async (drives: readonly LabDrive[]): Promise<Attached[]> => {
  const found = await Promise.all(
    (await readdir('/sys/block')).map(async (name): Promise<Attached[]> => {
      const file = await line(`/sys/block/${name}/loop/backing_file`);
      const drive = drives.find((one) => one.file === file);
      const [numbers, diskseq] = await Promise.all([line(`/sys/block/${name}/dev`), line(`/sys/block/${name}/diskseq`)]);
      return drive === undefined ? [] : [{ ...drive, name, numbers, device: `/dev/${name}`, diskseq }];
    }),
  );
  return found.flat();
};

/** @param drives as they were described when they were made */
export const followDrives = (lab: Pick<Lab, 'settle' | 'unsettle'>, drives: readonly LabDrive[]) => {
  /** By number; null until the first look. */
  let described: ReadonlyMap<string, string> | null = null;

  const look = async (): Promise<void> => {
    const now = await attachedNow(drives);
    for (const { diskseq, ...drive } of now) {
      if (described === null || described.get(drive.numbers) === diskseq) continue;
      await outcome('partx', '-u', drive.device);
      await lab.settle(drive);
    }
    for (const numbers of described?.keys() ?? [])
      if (!now.some((drive) => drive.numbers === numbers)) await lab.unsettle(numbers);
    described = new Map(now.map(({ numbers, diskseq }) => [numbers, diskseq]));
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
