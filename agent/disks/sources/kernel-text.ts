/** Text files of /proc that tell of drives. Pure; what does not read as it should throws NotUnderstood, never gives less. */
import { decodeOctal } from '#shared/mountinfo';
import { NotUnderstood } from '../../not-understood.ts';
import type { MdArray } from '../inventory/evidence.ts';

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

/** Devices and files in use as swap. mm/swapfile.c, swap_show. */
export const parseSwaps = (text: string): string[] => {
  const [head = '', ...lines] = linesOf(text);
  if (!/^Filename\s+Type\s/.test(head)) throw new NotUnderstood('/proc/swaps does not begin with its heading');
  return lines.map((line) => {
    const [, path] = /^(\/\S*)\s+\S+\s+\d+\s+\d+\s+-?\d+$/.exec(line.trimEnd()) ?? [];
    if (path === undefined) throw new NotUnderstood('/proc/swaps has a line that is not understood');
    return decodeOctal(path).replace(/ ?\(deleted\)$/, '');
  });
};

/** Names of the drivers of block devices: `sd`, `device-mapper`, `md`. block/genhd.c, blkdev_show. */
export const parseBlockDrivers = (text: string): ReadonlySet<string> => {
  const [characters, blocks, ...more] = text.split(/^Block devices:\n/m);
  if (!characters?.startsWith('Character devices:\n') || blocks === undefined || more.length > 0)
    throw new NotUnderstood('/proc/devices does not have its two headings');
  return new Set(
    linesOf(blocks).map((line) => {
      const [, name] = /^\s*\d+ (\S.*)$/.exec(line) ?? [];
      if (name === undefined) throw new NotUnderstood('/proc/devices has a line that is not understood');
      return name;
    }),
  );
};

/** What the kernel can mount now. fs/filesystems.c, filesystems_proc_show. */
export const parseFilesystems = (text: string): ReadonlySet<string> => {
  const names = linesOf(text).map((line) => {
    const [, name] = /^(?:nodev)?\t(\S+)$/.exec(line) ?? [];
    if (name === undefined) throw new NotUnderstood('/proc/filesystems has a line that is not understood');
    return name;
  });
  // The kernel that shows this file has proc.
  if (!names.includes('proc')) throw new NotUnderstood('/proc/filesystems is not whole');
  return new Set(names);
};

/** `sdb1[1](F)`: a member, its number, and F faulty, S spare, W write-mostly, R replacement, J journal. */
const memberIn = (word: string): string => {
  const [, name] = /^([^\s[\]]+)\[\d+\](?:\([A-Z]\))*$/.exec(word) ?? [];
  if (name === undefined) throw new NotUnderstood('/proc/mdstat names a member that is not understood');
  return name;
};

const arrayIn = (line: string): MdArray => {
  const [, name, facts = ''] = /^(\S+) : (?:active|inactive|broken)((?: .*)?)$/.exec(line) ?? [];
  if (name === undefined) throw new NotUnderstood('/proc/mdstat has a line that is not understood');
  // `(read-only)` and the level stand before the members; an array that does not run has no level.
  const words = facts.split(' ').filter((word) => word !== '' && !/^\((?:auto-)?read-only\)$/.test(word));
  const members = words.filter((word, at) => at > 0 || word.includes('['));
  return { name, members: members.map(memberIn) };
};

/** drivers/md/md.c, md_seq_show. */
export const parseMdstat = (text: string): MdArray[] => {
  const lines = linesOf(text);
  if (!/^Personalities :/.test(lines[0] ?? '') || !/^unused devices: /.test(lines.at(-1) ?? ''))
    throw new NotUnderstood('/proc/mdstat is not whole');
  return lines
    .slice(1, -1)
    .filter((line) => !/^\s/.test(line))
    .map(arrayIn);
};
