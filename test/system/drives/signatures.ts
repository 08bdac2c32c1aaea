/**
 * Drives with everything that could be on one, made afresh. What no program here makes is written by hand, as its superblock's description
 * has it: kernel, include/uapi/linux/raid/md_p.h and drivers/md/bcache; OpenZFS, uberblock_impl.h; SNIA DDF 2.0; libblkid's own tests.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Lab, type LabDrive, outcome, run } from './lab.ts';

const MB = 1024 ** 2;
const SIZE = 64 * MB;

export interface Content {
  /** As the table names it. */
  name: string;
  /** Default 64. */
  mb?: number;
  make: (lab: Lab, drive: LabDrive) => Promise<unknown>;
}

/** Through the device: what the kernel has read of it already must not stay. */
const put = async ({ device }: LabDrive, ...pieces: [at: number, bytes: Uint8Array][]): Promise<void> => {
  const handle = await open(device, 'r+');
  try {
    for (const [at, bytes] of pieces) await handle.write(bytes, 0, bytes.length, at);
    await handle.sync();
  } finally {
    await handle.close();
  }
};

const words = (block: Buffer, size: 4 | 8, ...values: number[]): void => {
  for (const [at, value] of values.entries()) block.writeUIntLE(value, at * size, 4);
};

const bytes = (length: number, write: (buffer: Buffer) => unknown): Buffer => {
  const buffer = Buffer.alloc(length);
  write(buffer);
  return buffer;
};

const MD_MAGIC = 0xa92b4efc;

/** md's superblock, version 1, at that sector. */
const mdSuperblock = (sector: number): Buffer =>
  bytes(512, (block) => {
    block.writeUInt32LE(MD_MAGIC, 0);
    block.writeUInt32LE(1, 4);
    block.fill(7, 16, 32);
    block.write('host:md0', 32);
    block.writeUInt32LE(1, 72);
    block.writeUInt32LE(2, 92);
    block.writeBigUInt64LE(2048n, 128);
    block.writeBigUInt64LE(BigInt(sector), 144);
    block.fill(9, 168, 184);
    block.writeUInt32LE(128, 220);
    let sum = 0;
    for (let at = 0; at < 512; at += 4) sum += block.readUInt32LE(at);
    block.writeUInt32LE(((sum % 2 ** 32) + Math.floor(sum / 2 ** 32)) >>> 0, 216);
  });

const md = (sector: number) => (_lab: Lab, drive: LabDrive) => put(drive, [sector * 512, mdSuperblock(sector)]);

/** Uberblocks of a label; libblkid wants four at least. */
const zfsLabels =
  (...labels: number[]) =>
  (_lab: Lab, drive: LabDrive) =>
    put(
      drive,
      ...labels.flatMap((label) =>
        [0, 1, 2, 3, 4, 5].map((index): [number, Buffer] => {
          const uberblock = bytes(40, (block) => words(block, 8, 0x00bab10c, 5000, 10 + index, 1, 1));
          return [label + 128 * 1024 + index * 1024, uberblock];
        }),
      ),
    );

/** The polynomial of ECMA-182, as bcache counts. */
const crc64 = (data: Uint8Array): bigint => {
  const mask = 0xffffffffffffffffn;
  let sum = mask;
  for (const byte of data) {
    sum ^= BigInt(byte) << 56n;
    for (let bit = 0; bit < 8; bit += 1) sum = sum >> 63n ? ((sum << 1n) ^ 0x42f0e1eba9ea3693n) & mask : (sum << 1n) & mask;
  }
  return sum ^ mask;
};

const bcache = bytes(208, (block) => {
  block.writeBigUInt64LE(8n, 8);
  block.writeBigUInt64LE(1n, 16);
  Buffer.from('c68573f64e1a45ca8265f57f48ba6d81', 'hex').copy(block, 24);
  block.fill(5, 40, 56);
  block.writeBigUInt64LE(crc64(block.subarray(8)), 0);
});

const ddf = bytes(512, (block) => {
  block.writeUInt32BE(0xde11de11, 0);
  block.write('Linux-MDABCDEFGHIJKLMNOP01.02.00', 8);
  block.writeBigUInt64BE(BigInt(SIZE / 512 - 1), 96);
});

const mkfs =
  (...[fstype, options]: [Parameters<Lab['mkfs']>[1], Parameters<Lab['mkfs']>[2]?]) =>
  (lab: Lab, { device }: LabDrive) =>
    lab.mkfs(device, fstype, options);

/** A table with one partition, and something in it. */
const inPartition =
  (table: 'gpt' | 'dos', make?: (lab: Lab, part: string) => Promise<unknown>, type = '') =>
  async (lab: Lab, drive: LabDrive) => {
    const [part = ''] = await lab.partition(drive, `label: ${table}\n,${type === '' ? '' : `,${type}`}\n`);
    await make?.(lab, part);
    await lab.settle(drive);
  };

const luks = (type: string) => async (lab: Lab, device: string) => {
  const key = join(lab.dir, `key-${type}`);
  await writeFile(key, 'for a test only', { mode: 0o600 });
  await run(
    ...([
      'cryptsetup',
      'luksFormat',
      '--batch-mode',
      '--type',
      type,
      '--pbkdf',
      'pbkdf2',
      '--pbkdf-force-iterations',
      '1000',
      '--key-file',
      key,
      device,
    ] as const),
  );
};

/** A file system with these files, never mounted: a mount could linger in a namespace that somebody makes meanwhile. */
const withFiles =
  (...paths: string[]) =>
  async (lab: Lab, { device, name }: LabDrive) => {
    const tree = join(lab.dir, `tree-${name}`);
    for (const path of paths) {
      await mkdir(join(tree, path, '..'), { recursive: true });
      await writeFile(join(tree, path), 'x');
    }
    await lab.mkfs(device, 'ext4', { args: ['-d', tree] });
  };

/** Without the agent's knowledge of 4096-byte blocks: as a drive that was used in another enclosure. */
const inBlocksOf4096 = async (_lab: Lab, { file, device: own }: LabDrive) => {
  const device = await run('losetup', '--find', '--show', '--sector-size', '4096', file);
  try {
    const done = await outcome('sh', '-c', `printf 'label: gpt\\n,\\n' | sfdisk -q --no-reread --no-tell-kernel ${device}`);
    if (done.exit !== 0) throw new Error(done.stderr);
  } finally {
    await run('losetup', '-d', device);
  }
  await run('blockdev', '--flushbufs', own);
};

const nothing = async (): Promise<void> => undefined;

/** Everything of the samples of other drives' signatures, and what these do not have. */
export const CONTENTS: readonly Content[] = [
  { name: 'blank', make: nothing },
  // File systems, on the drive itself.
  { name: 'ext4', make: mkfs('ext4', { label: 'Photos' }) },
  { name: 'xfs', mb: 320, make: mkfs('xfs') },
  { name: 'btrfs', mb: 128, make: mkfs('btrfs') },
  { name: 'exfat', make: mkfs('exfat', { label: 'STICK' }) },
  { name: 'ntfs', make: mkfs('ntfs') },
  { name: 'vfat', make: mkfs('vfat') },
  { name: 'ext4 with archives of vzdump', make: withFiles('dump/vzdump-qemu-101-2026_01_01-00_00_00.vma.zst') },
  { name: 'ext4 with chunks of a PBS', make: withFiles('.chunks/0000/x') },
  // In a partition.
  { name: 'gpt, ext4 in it', make: inPartition('gpt', (lab, part) => lab.mkfs(part, 'ext4')) },
  { name: 'dos, ntfs in it', make: inPartition('dos', (lab, part) => lab.mkfs(part, 'ntfs')) },
  { name: 'gpt, LUKS in it', make: inPartition('gpt', luks('luks2')) },
  { name: 'gpt, LVM in it', make: inPartition('gpt', (lab, part) => lab.mkfs(part, 'lvm2')) },
  { name: 'gpt, nothing in it', make: inPartition('gpt') },
  { name: 'gpt, made for LVM, nothing in it', make: inPartition('gpt', undefined, 'E6D6D379-F507-44C2-A23C-238F2A3DF928') },
  // Locked.
  { name: 'luks1', make: (lab, { device }) => luks('luks1')(lab, device) },
  { name: 'luks2', make: (lab, { device }) => luks('luks2')(lab, device) },
  { name: 'LUKS whose header is elsewhere', make: (_lab, drive) => put(drive, [0, randomBytes(2 * MB)]) },
  // Sets and layers.
  { name: 'lvm2', make: mkfs('lvm2') },
  { name: 'md 1.2', make: md(8) },
  { name: 'md 1.0, at the end', make: md((SIZE / 512 - 16) & ~7) },
  {
    name: 'md 0.90, at the end',
    make: (_lab, drive) => put(drive, [SIZE - 65_536, bytes(64, (block) => words(block, 4, MD_MAGIC, 0, 90, 0, 0, 7))]),
  },
  { name: 'zfs', make: zfsLabels(0, 256 * 1024, SIZE - 512 * 1024, SIZE - 256 * 1024) },
  { name: 'zfs, labels at the end only', make: zfsLabels(SIZE - 512 * 1024, SIZE - 256 * 1024) },
  { name: 'bcache', make: (_lab, drive) => put(drive, [4096, bcache]) },
  { name: 'ceph', make: (_lab, drive) => put(drive, [0, Buffer.from('bluestore block device\n')]) },
  { name: 'ddf', make: (_lab, drive) => put(drive, [SIZE - 512, ddf]) },
  { name: 'isw', make: (_lab, drive) => put(drive, [SIZE - 1024, Buffer.from('Intel Raid ISM Cfg Sig. 1.3.00')]) },
  { name: 'swap', make: mkfs('swap') },
  // What nobody here knows.
  { name: 'ReFS', make: (_lab, drive) => put(drive, [3, Buffer.from('ReFS\0\0')]) },
  {
    name: 'BitLocker',
    make: (_lab, drive) => put(drive, [0, Buffer.from('\xeb\x58\x90-FVE-FS-', 'latin1')], [510, Buffer.from([0x55, 0xaa])]),
  },
  // Tables by themselves, and what is left of things.
  { name: 'gpt, no partition', make: (lab, drive) => lab.partition(drive, 'label: gpt\n') },
  { name: 'dos, no partition', make: (lab, drive) => lab.partition(drive, 'label: dos\n') },
  { name: 'gpt in blocks of 4096 bytes', make: inBlocksOf4096 },
  {
    name: 'gpt of which the end is left',
    make: async (lab, drive) => {
      await lab.partition(drive, 'label: gpt\n,\n');
      await run('partx', '-d', drive.device);
      await put(drive, [0, Buffer.alloc(MB)]);
    },
  },
  {
    name: 'gpt over an ext4',
    make: async (lab, drive) => {
      await lab.mkfs(drive.device, 'ext4');
      await outcome('sh', '-c', `printf 'label: gpt\\n' | sfdisk -q --wipe never --no-reread --no-tell-kernel ${drive.device}`);
    },
  },
  {
    name: 'ext4 and vfat at once',
    make: async (lab, drive) => {
      const other = await lab.drive({ name: `${drive.spec.name}-vfat`, mb: 64 });
      await lab.mkfs(other.device, 'vfat');
      await lab.mkfs(drive.device, 'ext4');
      await run('dd', `if=${other.device}`, `of=${drive.device}`, 'bs=512', 'count=1', 'conv=notrunc,fsync', 'status=none');
    },
  },
  {
    name: 'ext4, first 64 MiB zeroed',
    mb: 320,
    make: async (lab, drive) => {
      await lab.mkfs(drive.device, 'ext4');
      await put(drive, [0, Buffer.alloc(64 * MB)]);
    },
  },
  { name: 'one byte at the end', make: (_lab, drive) => put(drive, [SIZE - 1, Buffer.from([1])]) },
];
