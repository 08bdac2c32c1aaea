/** The program that formats, on drives of a lab: as it ships, or stopped before any of its steps. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '#agent/ports/clock';
import {
  createDriveFormat,
  type DriveFormat,
  type DriveFormatOptions,
  type FormatOrder,
  type FormatState,
  type Phase,
} from '#agent/ports/drive-format';
import { bundleSources } from '../../chaos/bundle.ts';
import { type Lab, type LabDrive, outcome } from './lab.ts';
import { until } from './touching.ts';

export const driveFormat = [process.execPath, await bundleSources('drive-format', { main: 'agent/drive-format/main.ts' })];
const stepping = [
  process.execPath,
  await bundleSources('drive-format-steps', { main: 'test/system/drives/format-steps-main.ts' }),
];

export const formatsIn = (lab: Lab, options: Partial<DriveFormatOptions> = {}): DriveFormat =>
  createDriveFormat({ clock: systemClock, stateDir: join(lab.dir, 'state'), byScope: false, program: driveFormat, ...options });

let jobs = 0;

export type Order = Omit<FormatOrder, 'stateFile'>;

/** Of the drive as it is now. */
export const orderFor = ({ device, name, numbers }: LabDrive, more: Partial<Order> = {}): Order => {
  jobs += 1;
  const of = (file: string): number => Number(readFileSync(`/sys/block/${name}/${file}`, 'utf8'));
  const now = { device, numbers, diskseq: of('diskseq'), sizeBytes: of('size') * 512 };
  return { jobId: `job-${process.pid}-${jobs}`, ...now, fstype: 'ext4', root: { uid: 100_000, gid: 100_000 }, ...more };
};

/** The last that its state file says. */
export const ended = async (formats: DriveFormat, jobId: string): Promise<FormatState> => {
  await until(async () => (await formats.state(jobId))?.alive === false, 20_000);
  const last = await formats.state(jobId);
  if (last === null) throw new Error('there is no state file');
  return last.state;
};

/** From the first step to the last. */
export const formatted = async (formats: DriveFormat, order: Order): Promise<FormatState> => {
  const held = await formats.hold(order);
  await held.go();
  return ended(formats, order.jobId);
};

export interface Stops {
  /** For `program`. */
  program: string[];
  /** It is to wait there. */
  stopAt(phase: Phase): void;
  /** Resolves when it is there. */
  reached(phase: Phase): Promise<void>;
  goOn(phase: Phase): void;
}

/** @param directory made for it @param seen what it is called where the program runs */
export const stopsAt = (directory: string, seen = directory): Stops => {
  mkdirSync(directory, { recursive: true });
  const file = (what: string, phase: Phase): string => join(directory, `${what}-${phase}`);
  return {
    program: [...stepping, seen],
    stopAt: (phase) => writeFileSync(file('stop', phase), ''),
    reached: (phase) => until(() => isThere(file('at', phase))),
    goOn: (phase) => rmSync(file('stop', phase), { force: true }),
  };
};

export const stopsIn = (lab: Lab): Stops => stopsAt(join(lab.dir, 'stops'));

const isThere = (path: string): boolean => {
  try {
    readFileSync(path);
    return true;
  } catch {
    return false;
  }
};

export interface Shown {
  /** What wipefs finds on the drive and on each of its partitions. */
  types: Record<string, string[]>;
  /** `ext4`, as blkid has it; '' where it finds nothing. */
  fstype: string;
  uuid: string;
}

/** What other programs find on a drive. */
export const shownOn = async ({ name }: LabDrive, partitions: readonly string[]): Promise<Shown> => {
  const types: Shown['types'] = {};
  for (const one of [name, ...partitions]) {
    const { stdout } = await outcome('wipefs', '--json', '-n', `/dev/${one}`);
    const { signatures } = JSON.parse(stdout) as { signatures: { type: string }[] };
    types[one] = signatures.map(({ type }) => type).sort();
  }
  const last = `/dev/${partitions.at(-1) ?? name}`;
  const tag = async (key: string): Promise<string> =>
    (await outcome('blkid', '-p', '-o', 'value', '-s', key, last)).stdout.trim();
  return { types, fstype: await tag('TYPE'), uuid: await tag('UUID') };
};

/** Bytes of a device. */
export const bytesAt = async (device: string, at: number, length: number): Promise<Buffer> => {
  const handle = await open(device, 'r');
  try {
    return (await handle.read(Buffer.alloc(length), 0, length, at)).buffer;
  } finally {
    await handle.close();
  }
};
