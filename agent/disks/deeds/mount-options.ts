/** Mount options: what a guest may ask for, and what the agent makes of it. Pure. */
import { FelhomError } from '#shared/errors';
import type { Filesystem } from '../../config.ts';

/** Asked for and granted. */
export interface AskedOptions {
  readOnly: boolean;
  noatime: boolean;
  /** btrfs only. */
  compress: '' | 'zstd' | 'zlib' | 'lzo';
}

/** Words that change nothing: they say what holds anyhow, for drives of guests. */
const ALREADY = new Set(['defaults', 'rw', 'relatime', 'nofail', 'nosuid', 'nodev']);

/** Of the kernel's algorithms the one that most want when they name none. */
const COMPRESS = { compress: 'zstd', 'compress=zstd': 'zstd', 'compress=zlib': 'zlib', 'compress=lzo': 'lzo' } as const;

const CONTRADICTIONS = [
  ['ro', 'rw'],
  ['noatime', 'relatime'],
] as const;

const refuse = (sentence: string): never => {
  throw new FelhomError('mount-option-refused', `${sentence} Nothing was changed.`);
};

const ALLOWED = 'Only "ro", "noatime" and, on btrfs, "compress" can be asked for.';

const isKey = <T extends object>(table: T, word: string): word is Extract<keyof T, string> => Object.hasOwn(table, word);

/** Throws `mount-option-refused` for every word that is not exactly one of those allowed. */
export const readOptions = (text: string, fstype: Filesystem): AskedOptions => {
  const words = text === '' ? [] : text.split(',');
  const asked: AskedOptions = { readOnly: false, noatime: false, compress: '' };
  for (const word of words) {
    if (word === 'ro') asked.readOnly = true;
    else if (word === 'noatime') asked.noatime = true;
    else if (isKey(COMPRESS, word)) asked.compress = COMPRESS[word];
    else if (!ALREADY.has(word)) refuse(`A mount option was asked for that drives are not mounted with. ${ALLOWED}`);
  }
  if (asked.compress !== '' && fstype !== 'btrfs') refuse('"compress" is for btrfs.');
  for (const [one, other] of CONTRADICTIONS)
    if (words.includes(one) && words.includes(other)) refuse(`"${one}" and "${other}" contradict each other.`);
  return asked;
};

/** Says what it does when a file system is found damaged, whatever its superblock says: that may be to stop the host (ext4(5), `errors=`). */
const OWN = {
  ext4: () => ['errors=remount-ro'],
  xfs: () => [],
  btrfs: () => [],
  // It keeps no owners: all of it belongs to the guest's root (Documentation/filesystems/exfat.rst).
  exfat: ({ uid, gid }) => [`uid=${uid}`, `gid=${gid}`],
} as const satisfies Record<Filesystem, (root: MappedRoot) => readonly string[]>;

/** The guest's root, as the host numbers it. */
export interface MappedRoot {
  uid: number;
  gid: number;
}

/** Always built anew: nothing of what the file system or the request says gets through but what is listed here. */
export const buildOptions = (fstype: Filesystem, { readOnly, noatime, compress }: AskedOptions, root: MappedRoot): string =>
  [
    'nosuid',
    'nodev',
    ...OWN[fstype](root),
    ...(readOnly ? ['ro'] : []),
    ...(noatime ? ['noatime'] : []),
    ...(compress === '' ? [] : [`compress=${compress}`]),
  ].join(',');
