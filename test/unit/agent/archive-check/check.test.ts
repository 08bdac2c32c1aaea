/** Whole archives pass, and nothing else does. Made by the real tar, zstd and gzip; a VMA by the simulator. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkArchive } from '#agent/archive-check/check';
import { vmaDisks } from '../../../pve/vzdump/vma.ts';
import { createWorkshop, DISK, flipBit, hasLzop, hasZstd, noise, randomFrom } from './make.ts';

const workshop = createWorkshop();
afterAll(() => workshop.remove());

const FORMATS = [
  ...['tar', 'tar.gz', 'tgz', 'vma', 'vma.gz'],
  ...(hasZstd ? ['tar.zst', 'vma.zst'] : []),
  ...(hasLzop ? ['tar.lzo', 'vma.lzo'] : []),
];
const COMPRESSED = FORMATS.filter((format) => !['tar', 'vma'].includes(format));

/** One whole archive of each format. */
const whole = new Map<string, string>();
const fileOf = (format: string): string => whole.get(format) ?? '';

beforeAll(async () => {
  const [tar, vma] = [workshop.tar('a.tar', '--sparse'), await workshop.vma('a.vma')];
  for (const format of FORMATS) {
    const [kind, how] = format === 'tgz' ? ['tar', 'gz'] : format.split('.');
    const plain = kind === 'vma' ? vma : tar;
    whole.set(format, how === undefined ? plain : workshop.compress(plain, how as 'gz'));
  }
});

const listed = (file: string): number => execFileSync('tar', ['-tf', file]).toString().trim().split('\n').length;

test.each(FORMATS)('a whole %s passes, and is counted', async (format) => {
  const seen: number[] = [];
  const found = await checkArchive(fileOf(format), format, (bytes) => seen.push(bytes));
  expect(found).toMatchObject({ verdict: 'whole', error: '' });
  const isTar = !format.startsWith('vma');
  expect(found.members).toBe(isTar ? listed(fileOf('tar')) : 2);
  expect(found.bytes).toBe(readFileSync(fileOf(isTar ? 'tar' : 'vma')).length);
  expect(seen.reduce((sum, bytes) => sum + bytes, 0)).toBe(readFileSync(fileOf(format)).length);
});

test.each([
  ['GNU', ['--format=gnu', '--sparse']],
  ['pax, as --xattrs makes it', ['--format=posix', '--sparse']],
  ['pax with the older forms of sparse files', ['--format=posix', '--sparse', '--sparse-version=0.0']],
  ['pax with sparse files of version 0.1', ['--format=posix', '--sparse', '--sparse-version=0.1']],
  ['without holes kept', ['--format=gnu']],
  ['sizes in base 256', ['--format=gnu', '--owner=3000000000', '--mtime=@99999999999']],
  ['a volume label', ['--format=gnu', '--label=felhom']],
])('members of a tar are those that tar itself lists: %s', async (_kind, options) => {
  const file = workshop.tar('b.tar', ...options);
  expect(await checkArchive(file, 'tar')).toMatchObject({ verdict: 'whole', members: listed(file) });
});

test('a ustar with prefixes is read like any other', async () => {
  const file = workshop.tar(
    'c.tar',
    '--format=ustar',
    '--exclude=*ffff*',
    '--exclude=symlink',
    '--exclude=*holes',
    '--owner=1',
    '--group=1',
  );
  expect(await checkArchive(file, 'tar')).toMatchObject({ verdict: 'whole', members: listed(file) });
});

describe.each(FORMATS)('a damaged %s is found', (format) => {
  test('broken off at any place', async () => {
    const random = randomFrom(7);
    const { length } = readFileSync(fileOf(format));
    // The zeros that fill a tar's last record hold nothing: its end is its two blocks of zeros.
    const end = format === 'tar' ? contentLength(fileOf('tar')) + 512 : length - 1;
    for (const at of [0, 1, 511, 512, 4096, end, ...Array.from({ length: 25 }, () => random(end))]) {
      const found = await checkArchive(
        workshop.altered(fileOf(format), (data) => data.subarray(0, at)),
        format,
      );
      expect(found, `${at} of ${length}`).toMatchObject({ verdict: 'damaged' });
    }
  });

  test.each([
    ['nothing in it', () => Buffer.alloc(0)],
    ['something behind it', (data: Buffer) => Buffer.concat([data, Buffer.from('garbage behind the end')])],
    ['another archive behind it', (data: Buffer) => Buffer.concat([data, noise(20_000, 9)])],
    ['zeros in the place of all of it', (data: Buffer) => Buffer.alloc(data.length)],
    ['noise in the place of all of it', (data: Buffer) => noise(data.length, 5)],
    ['a page of zeros in its midst', (data: Buffer) => Buffer.from(data).fill(0, data.length >> 1, (data.length >> 1) + 4096)],
  ])('%s', async (what, change) => {
    const isUnseen = what.startsWith('a page') && !COMPRESSED.includes(format);
    const found = await checkArchive(workshop.altered(fileOf(format), change), format);
    // Plain data has no checksum of its own; its place in the archive shows nothing.
    if (isUnseen) expect(['whole', 'damaged']).toContain(found.verdict);
    else expect(found).toMatchObject({ verdict: 'damaged' });
    expect(found.error).not.toMatch(/\/|zstd|gzip|tar:/);
  });
});

const contentLength = (file: string): number => {
  const data = readFileSync(file);
  let end = data.length;
  while (end > 0 && data[end - 1] === 0) end -= 1;
  return Math.ceil(end / 512) * 512;
};

test.each(COMPRESSED)('one bit flipped anywhere in a %s is found', async (format) => {
  const random = randomFrom(11);
  const data = readFileSync(fileOf(format));
  // A gzip's header names its file and its time, which nothing depends on.
  const from = format.endsWith('gz') ? 30 : 0;
  for (let round = 0; round < 50; round += 1) {
    const at = from + random(data.length - from);
    const file = workshop.altered(fileOf(format), () => flipBit(data, at, random(8)));
    expect(await checkArchive(file, format), `byte ${at}`).toMatchObject({ verdict: 'damaged' });
  }
});

test('one bit flipped in any header of a tar or a VMA is found', async () => {
  const random = randomFrom(13);
  const vma = readFileSync(fileOf('vma'));
  const headerEnd = vma.readUInt32BE(56);
  for (let round = 0; round < 150; round += 1) {
    const at = round % 2 === 0 ? random(headerEnd) : headerEnd + random(512);
    const file = workshop.altered(fileOf('vma'), () => flipBit(vma, at, random(8)));
    expect(await checkArchive(file, 'vma'), `byte ${at}`).toMatchObject({ verdict: 'damaged' });
  }
  const tar = readFileSync(fileOf('tar'));
  for (let round = 0; round < 50; round += 1) {
    // A tar ignores what stands behind the zero that ends a text; within the fields that matter nothing is ignored.
    const at = [random(20), 100 + random(7), 124 + random(11), 148 + random(6), 156][round % 5] ?? 0;
    const file = workshop.altered(fileOf('tar'), () => flipBit(tar, at, random(8)));
    expect(await checkArchive(file, 'tar'), `byte ${at}`).toMatchObject({ verdict: 'damaged' });
  }
});

test.each([
  ['an empty tar', () => Buffer.alloc(10_240), 'The archive is empty.'],
  [
    'a tar with one block of zeros in it',
    (tar: Buffer) => Buffer.concat([Buffer.alloc(512), tar]),
    'The archive has a hole in the middle.',
  ],
  ['a tar with only one block of zeros at its end', (tar: Buffer, end: number) => tar.subarray(0, end + 512), 'breaks off'],
  ['a tar without its end', (tar: Buffer, end: number) => tar.subarray(0, end), 'breaks off'],
])('%s is damaged', async (_what, change, sentence) => {
  const end = contentLength(fileOf('tar'));
  const found = await checkArchive(
    workshop.altered(fileOf('tar'), (tar) => change(tar, end)),
    'tar',
  );
  expect(found).toMatchObject({ verdict: 'damaged', error: expect.stringContaining(sentence) });
});

/** A header block and its data, as POSIX has it. */
const member = (name: string, type: string, data: Buffer | string, size = Buffer.from(data).length): Buffer => {
  const header = Buffer.alloc(512);
  header.write(name);
  header.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  header.write('        ', 148);
  header.write(type, 156);
  header.write('ustar\x0000', 257, 'latin1');
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const content = Buffer.from(data);
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
};

test.each<[string, Buffer[], string]>([
  ['a pax name counts', [member('p', 'x', '30 path=./etc/vzdump/pct.conf\n'), member('other', '0', 'x')], 'whole'],
  ['a GNU long name counts', [member('././@LongLink', 'L', './etc/vzdump/pct.conf\0'), member('other', '0', 'x')], 'whole'],
  [
    'a pax size counts, as of files of 8 GiB and more',
    [member('p', 'x', '12 size=600\n'), member('./etc/vzdump/pct.conf', '0', Buffer.alloc(600, 'x'), 0)],
    'whole',
  ],
  [
    'a pax size that is not the true one',
    [member('p', 'x', '13 size=6000\n'), member('./etc/vzdump/pct.conf', '0', 'x')],
    'damaged',
  ],
  ['a pax record that is too long', [member('p', 'x', '99 path=./etc/vzdump/pct.conf\n'), member('other', '0', 'x')], 'damaged'],
  [
    'a pax header for the whole archive is none of a member',
    [member('g', 'g', '30 path=./etc/vzdump/pct.conf\n'), member('o', '0', 'x')],
    'damaged',
  ],
])('%s', async (_what, members, verdict) => {
  const file = workshop.write('i.tar', Buffer.concat([...members, Buffer.alloc(1024)]));
  expect((await checkArchive(file, 'tar')).verdict).toBe(verdict);
  if (verdict === 'whole') expect(listed(file)).toBe(1);
});

test("without the guest's configuration nothing can be restored", async () => {
  const missing = "The guest's configuration is not in the archive.";
  const tar = workshop.tar('d.tar', '--exclude=pct.conf');
  expect(await checkArchive(tar, 'tar')).toMatchObject({ verdict: 'damaged', error: missing });
  const renamed = workshop.tar('e.tar', '--transform=s,pct.conf,pct.fw,');
  expect(await checkArchive(renamed, 'tar')).toMatchObject({ verdict: 'damaged', error: missing });
  const vma = await workshop.vma('f.vma', { 'qemu-server.fw': 'x' });
  expect(await checkArchive(vma, 'vma')).toMatchObject({ verdict: 'damaged', error: missing });
});

test('a VMA whose extents are whole but are not all there, or there twice, is damaged', async () => {
  const vma = readFileSync(fileOf('vma'));
  const first = vma.readUInt32BE(56);
  const second = first + 512 + vma.readUInt16BE(first + 6) * 4096;
  const without = workshop.altered(fileOf('vma'), (data) => Buffer.concat([data.subarray(0, first), data.subarray(second)]));
  expect(await checkArchive(without, 'vma')).toMatchObject({ verdict: 'damaged', error: 'A part of a disk is missing.' });
  const twice = workshop.altered(fileOf('vma'), (data) => Buffer.concat([data, data.subarray(first, second)]));
  expect(await checkArchive(twice, 'vma')).toMatchObject({
    verdict: 'damaged',
    error: 'A part of a disk is in the archive twice.',
  });
  const other = readFileSync(await workshop.vma('g.vma'));
  const mixed = workshop.altered(fileOf('vma'), (data) => Buffer.concat([data.subarray(0, second), other.subarray(second)]));
  expect(await checkArchive(mixed, 'vma')).toMatchObject({ error: 'A part of another archive stands in this one.' });
});

test('the simulator writes a VMA that holds its disks', async () => {
  const disks = vmaDisks(readFileSync(fileOf('vma')));
  expect(disks['drive-scsi0']?.equals(DISK)).toBe(true);
  expect(disks['drive-scsi1']?.equals(noise(70_000, 3))).toBe(true);
});

test('what cannot be read is not called damaged', async () => {
  expect(await checkArchive(`${workshop.dir}/nowhere.tar`, 'tar')).toMatchObject({ verdict: 'unreadable' });
  expect(await checkArchive(workshop.dir, 'tar')).toMatchObject({ verdict: 'unreadable' });
  expect(await checkArchive(fileOf('tar'), 'pbs-ct')).toMatchObject({ verdict: 'unsupported' });
});

test.skipIf(hasLzop)('an archive whose program is not installed is not called damaged', async () => {
  const file = workshop.write('h.tar.lzo', noise(1000));
  expect(await checkArchive(file, 'tar.lzo')).toMatchObject({ verdict: 'unsupported' });
  rmSync(file);
});
