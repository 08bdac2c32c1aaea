/**
 * Looks into an ext2, ext3 or ext4 without the kernel: mounted read-only it would still write down in the superblock that it found an error,
 * and show a damaged directory as an empty one (both tried, kernel 6.18). debugfs(8) opens the device read-only and says what is damaged.
 */
import { run } from './program.ts';
import type { Found } from './protocol.ts';
import { ARCHIVE, CHUNKS, DUMP } from './search.ts';

const DEBUGFS = '/usr/sbin/debugfs';

/** Its exit status is 0 whatever happens; after the line with its version, stderr holds what went wrong. */
const list = (device: string, directory: string): string => {
  const { stdout, stderr } = run(DEBUGFS, '-R', `ls -p ${directory}`, device);
  const trouble = stderr.split('\n').filter((line) => line !== '' && !/^debugfs \d/.test(line));
  if (trouble.length > 0) throw new Error(`debugfs: ${trouble.join('; ')}`);
  return stdout;
};

/** `/12/040755/0/0/dump//`: inode, mode in octal, owner, group, name, size. A name may hold anything but a slash, also a newline. */
const hasDirectory = (listing: string, name: string): boolean =>
  listing.split('\n').some((line) => /^\/\d+\/04\d{4}\//.test(line) && line.split('/')[5] === name);

const hasArchive = (listing: string): boolean => listing.includes(`/${ARCHIVE}`);

export const lookIntoExt = (device: string): Found => {
  const root = list(device, '/');
  // Without these two it is no whole list.
  if (!hasDirectory(root, '.') || !hasDirectory(root, '..')) throw new Error('its root directory could not be read');
  if (hasDirectory(root, CHUNKS)) return 'chunks';
  return hasDirectory(root, DUMP) && hasArchive(list(device, `/${DUMP}`)) ? 'vzdump' : 'nothing';
};
