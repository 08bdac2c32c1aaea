/** Whether a drive carries data: yes, until the whole of it has been read as zeros. Pure. */
import type { KernelDevice } from '../../ports/sysfs.ts';
import type { Known, Probe, Signature } from './evidence.ts';
import { isBootSector, signatureName } from './kinds.ts';
import { plain } from './plain.ts';

/** How far the reading of a whole drive has come. */
export type BlankState =
  | { state: 'proved' }
  /** Something other than zero is written there, in bytes from the start. */
  | { state: 'data'; at: number }
  | { state: 'reading'; readFraction: number }
  /** Before anything was found, a part of it could not be read. */
  | { state: 'unreadable' }
  | { state: 'unread' };

export interface Data {
  dataBearing: boolean;
  dataReason: string;
}

const bearing = (dataReason: string): Data => ({ dataBearing: true, dataReason });

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
/** `12.3 GB`, as drives are sold: in powers of ten. */
export const bytesText = (bytes: number): string => {
  const power = bytes < 1000 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(bytes) / 3));
  const figure = bytes / 1000 ** power;
  return `${power === 0 ? figure : figure.toFixed(1)} ${UNITS[power]}`;
};

/** Said by something else already: a boot sector by its file system, the front part of a table by the table. */
const isRepeated = ({ device, type }: Signature, all: readonly Signature[]): boolean => {
  const others = all.filter((one) => one.device === device).map((one) => one.type);
  return isBootSector(type, others) || (type === 'PMBR' && others.includes('gpt'));
};

/** What was found, each thing once: `ext4 "Photos" (sdb1)`. */
const foundOn = ({ signatures }: Probe): string => {
  const things = signatures
    .filter((one) => !isRepeated(one, signatures))
    .map(({ device, type, label }) => {
      const name = label === '' ? signatureName(type) : `${signatureName(type)} "${plain(label, 40)}"`;
      return `${plain(name, 80)} on ${device}`;
    });
  return [...new Set(things)].slice(0, 8).join(', ');
};

/** Never the whole: 99.99 % is shown as 99 %. */
const percent = (fraction: number): number => Math.min(99, Math.max(0, Math.floor(fraction * 100)));

const ofBlank = (blank: BlankState): Data => {
  switch (blank.state) {
    case 'proved':
      return { dataBearing: false, dataReason: 'It is empty: all of it was read, and all of it is zero.' };
    case 'data':
      return bearing(
        `No file system was found on it, but something is written on it, ${blank.at < 1000 ? 'right at its start' : `first at ${bytesText(blank.at)} from its start`}.`,
      );
    case 'reading':
      return bearing(`It looks empty, but it has not been read to its end yet: ${percent(blank.readFraction)} % so far.`);
    case 'unreadable':
      return bearing('It looks empty, but a part of it cannot be read, so it counts as carrying data.');
    case 'unread':
      return bearing('It looks empty, but it has not been read to its end.');
  }
};

/** @param probe undefined: not read yet */
export const dataOf = (
  { partitions, sizeBytes }: Pick<KernelDevice, 'partitions' | 'sizeBytes'>,
  probe: Known<Probe> | undefined,
  blank: BlankState | undefined,
): Data => {
  if (probe === undefined) return bearing('It has not been looked at, so it counts as carrying data.');
  if (!probe.known) return bearing('It could not be read, so it counts as carrying data.');
  if (probe.value.signatures.length > 0) return bearing(`It carries ${foundOn(probe.value)}.`);
  if (partitions.length > 0) return bearing('It has partitions.');
  if (!probe.value.clean || probe.value.ambivalent.length > 0 || sizeBytes === null || sizeBytes <= 0)
    return bearing('What is on it could not be told, so it counts as carrying data.');
  return ofBlank(blank ?? { state: 'unread' });
};
