/** Archives as vzdump makes them, by the real programs, in a directory of their own. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { vmaOf } from '../../../pve/vzdump/vma.ts';

export const hasZstd = existsSync('/usr/bin/zstd');
export const hasLzop = existsSync('/usr/bin/lzop');

/** The same numbers each time. */
export const randomFrom = (seed: number) => {
  let state = seed >>> 0 || 1;
  return (below: number): number => {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    state >>>= 0;
    return (state ^ (state >>> 13)) >>> 0 === 0 ? 0 : ((state ^ (state >>> 13)) >>> 0) % below;
  };
};

/** Bytes that hardly compress. */
export const noise = (length: number, seed = 1): Buffer => {
  const random = randomFrom(seed);
  return Buffer.from(Uint8Array.from({ length }, () => random(256)));
};

/** More clusters than an extent has, most of them empty. */
export const DISK = Buffer.concat([noise(100_000), Buffer.alloc(4_000_000), noise(100_000, 2)]);

export const createWorkshop = () => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-check-'));
  const at = (name: string): string => join(dir, name);

  /** A root file system with what a tar finds hard: long names, links, holes, attributes of every kind. */
  const rootfs = (): string => {
    const root = at('root');
    if (existsSync(root)) return root;
    mkdirSync(join(root, 'etc/vzdump'), { recursive: true });
    writeFileSync(join(root, 'etc/vzdump/pct.conf'), 'hostname: ct101\nrootfs: local:101/disk.raw,size=4G\n');
    const deep = join(root, 'srv', 'd'.repeat(80), 'e'.repeat(60));
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, 'f'.repeat(200)), 'deep');
    writeFileSync(join(deep, 'g'), 'less deep');
    writeFileSync(join(root, 'srv/noise'), noise(50_000));
    writeFileSync(join(root, 'srv/größe'), 'ü');
    writeFileSync(join(root, 'srv/empty'), '');
    execFileSync('ln', ['-s', 'g'.repeat(180), join(root, 'srv/symlink')]);
    execFileSync('ln', [join(root, 'srv/noise'), join(root, 'srv/hardlink')]);
    execFileSync('/usr/bin/mkfifo', [join(root, 'srv/fifo')]);
    holes(join(root, 'srv/few-holes'), 3);
    holes(join(root, 'srv/many-holes'), 60);
    return root;
  };

  /** A sparse file with data between its holes. */
  const holes = (file: string, count: number): void => {
    writeFileSync(file, '');
    truncateSync(file, (count + 1) * 1024 ** 2);
    const fd = openSync(file, 'r+');
    for (let index = 0; index < count; index += 1) writeSync(fd, noise(1000, index + 1), 0, 1000, index * 1024 ** 2 + 65_536);
    closeSync(fd);
  };

  /** As vzdump calls it for containers (PVE/VZDump/LXC.pm), or otherwise. */
  const tar = (name: string, ...more: string[]): string => {
    const root = rootfs();
    execFileSync('tar', ['cpf', at(name), '--numeric-owner', ...more, '-C', root, './etc/vzdump/pct.conf', './srv']);
    return at(name);
  };

  const compress = (file: string, how: 'zst' | 'gz' | 'lzo'): string => {
    const [program, ...args] = {
      zst: ['/usr/bin/zstd', '-q', '-k', '-f'],
      gz: ['/usr/bin/gzip', '-k', '-f'],
      lzo: ['/usr/bin/lzop', '-f'],
    }[how];
    execFileSync(program ?? '', [...args, file]);
    return `${file}.${how}`;
  };

  const vma = async (
    name: string,
    configs: Record<string, string> = { 'qemu-server.conf': 'memory: 512\n' },
  ): Promise<string> => {
    writeFileSync(at('disk0'), DISK);
    writeFileSync(at('disk1'), noise(70_000, 3));
    const disks = [
      { name: 'drive-scsi0', image: at('disk0') },
      { name: 'drive-scsi1', image: at('disk1') },
    ];
    const chunks: Buffer[] = [];
    for await (const chunk of vmaOf({ configs, disks })) chunks.push(chunk);
    return write(name, Buffer.concat(chunks));
  };

  const write = (name: string, data: Buffer | string): string => {
    writeFileSync(at(name), data);
    return at(name);
  };

  /** A copy with something done to its bytes. */
  const altered = (file: string, change: (data: Buffer) => Buffer): string => write('altered', change(readFileSync(file)));

  return { dir, tar, compress, vma, write, altered, remove: () => rmSync(dir, { recursive: true, force: true }) };
};

export const flipBit = (data: Buffer, at: number, bit: number): Buffer => {
  const copy = Buffer.from(data);
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
};
