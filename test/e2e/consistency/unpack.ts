/** An archive's content in a directory of its own, as a restore lays it out. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { vmaDisks } from '../../pve/vzdump/vma.ts';

const TAR = ['--extract', '--preserve-permissions', '--numeric-owner', '--sparse'];

/** A container's: all of its volumes below one directory. */
const unpackTar = (archive: string | Buffer, into: string): void => {
  mkdirSync(into, { recursive: true });
  const [file, input] = typeof archive === 'string' ? [archive, undefined] : ['-', archive];
  execFileSync('/usr/bin/tar', [...TAR, `--file=${file}`, `--directory=${into}`], {
    ...(input === undefined ? {} : { input }),
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: 60_000,
  });
};

/** Uncompressed. A virtual machine's: each of its disks below a directory with the disk's name, such as `scsi0`. */
export const unpack = (archive: string, into: string): void => {
  if (archive.endsWith('.tar')) unpackTar(archive, into);
  else if (!archive.endsWith('.vma')) throw new Error(`${archive} is compressed`);
  else
    for (const [name, image] of Object.entries(vmaDisks(readFileSync(archive)))) {
      unpackTar(image, join(into, name.replace(/^drive-/, '')));
    }
};
