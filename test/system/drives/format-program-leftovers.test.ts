/** What a format leaves of what was on the drive: nothing that anybody could recognise it by. */
import { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { describe, expect, test, vi } from 'vitest';
import { bytesAt, formatsIn, formatted, orderFor, shownOn } from './formatting.ts';
import { type Lab, type LabDrive, labMissing, programsMissing, withLab } from './lab.ts';
import { CONTENTS } from './signatures.ts';
import { deviceOf } from './touching.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 60_000 });

const MIB = 1024 ** 2;
const missing = labMissing || programsMissing('sfdisk', 'mkfs.btrfs', 'mkfs.xfs', 'pvcreate', 'cryptsetup');
const skipped = missing === '' ? '' : ` (skipped: ${missing})`;

/** Several at once on one drive, where they leave each other alone; in the soak run each by itself. */
const SETS: readonly (readonly string[])[] =
  process.env.FELHOM_SOAK === '1'
    ? CONTENTS.map(({ name }) => [name])
    : [
        ['gpt in blocks of 4096 bytes', 'lvm2', 'zfs', 'ddf'],
        ['gpt of which the end is left', 'bcache', 'md 1.0, at the end'],
        ['gpt, LVM in it', 'md 0.90, at the end'],
        // Its partition begins where the new one does, and ends behind it.
        ['dos, ntfs in it'],
        ['ext4 and vfat at once', 'zfs, labels at the end only', 'isw'],
      ];

const partitionsOf = async (drive: LabDrive): Promise<string[]> => (await deviceOf(drive)).partitions.map(({ name }) => name);

/** What stands for anything that a drive could be recognised by, in a place where the new file system writes nothing. */
const MARK = 'felhom-leftover';
const markAt = async ({ device }: LabDrive, at: number): Promise<string> =>
  (await bytesAt(device, at, MARK.length)).toString('latin1');
const mark = async ({ device }: LabDrive, places: readonly number[]): Promise<void> => {
  const handle = await open(device, 'r+');
  try {
    for (const at of places) await handle.write(MARK, at);
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/** As a drive that cannot: else mkfs gives all of its place back to the file behind, and nothing shows what was zeroed before. */
const withoutDiscard = async (drive: LabDrive): Promise<void> => {
  const queue = `/sys/block/${drive.name}/queue/discard_max_bytes`;
  writeFileSync(queue, '0');
  expect(readFileSync(queue, 'utf8')).toBe('0\n');
};

const expectOnlyExt4 = async (lab: Lab, drive: LabDrive): Promise<void> => {
  const { outcome } = await formatted(formatsIn(lab), orderFor(drive));
  expect(outcome).toEqual({ ok: true, uuid: expect.any(String), partition: `${drive.device}p1` });
  const partitions = await partitionsOf(drive);
  expect(partitions).toEqual([`${drive.name}p1`]);
  expect(await shownOn(drive, partitions)).toMatchObject({
    types: { [drive.name]: ['PMBR', 'gpt', 'gpt'], [`${drive.name}p1`]: ['ext4'] },
    fstype: 'ext4',
  });
};

describe.skipIf(missing !== '')(`a formatted drive${skipped}`, () => {
  test.each(SETS.map((names) => [names.join('; '), names] as const))('that was: %s', (_title, names) =>
    withLab(async (lab) => {
      const contents = names.map((name) => CONTENTS.find((one) => one.name === name));
      const drive = await lab.drive({ name: 'drive', mb: contents[0]?.mb ?? 64 });
      for (const content of contents) await content?.make(lab, drive);
      expect(contents).not.toContain(undefined);
      await expectOnlyExt4(lab, drive);
    }),
  );

  test('that had five partitions, one of them within another: none is left, and nothing of them at their ends', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: 400 });
      await withoutDiscard(drive);
      const table = 'label: dos\n,16M\n,150M\n,100M\n,,E\n,20M\n,\n';
      const parts = await lab.partition(drive, table);
      expect(parts).toHaveLength(6);
      const [first = '', second = '', third = '', , fifth = '', sixth = ''] = parts;
      await lab.mkfs(first, 'swap');
      await lab.mkfs(second, 'btrfs');
      await lab.mkfs(third, 'lvm2');
      await lab.mkfs(fifth, 'exfat');
      await lab.mkfs(sixth, 'ext4');
      const ends = (await deviceOf(drive)).partitions.flatMap(({ startBytes, sizeBytes }) =>
        startBytes === null || sizeBytes === null || sizeBytes < MIB ? [] : [startBytes + 4096, startBytes + sizeBytes - 4096],
      );
      expect(ends).toHaveLength(10);
      await mark(drive, ends);
      await expectOnlyExt4(lab, drive);
      for (const at of ends) expect([at, await markAt(drive, at)]).not.toEqual([at, MARK]);
    }));

  test('no copy of a btrfs superblock is left, of the drive, of a partition, nor where the new one’s would be', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: 256 });
      await withoutDiscard(drive);
      await lab.partition(drive, 'label: gpt\nstart=4MiB,size=30MiB\nstart=40MiB\n');
      // The new one begins at 1 MiB.
      const copies = [0, 1, 40].map((start) => (start + 64) * MIB);
      await mark(drive, copies);
      for (const at of copies) expect(await markAt(drive, at)).toBe(MARK);
      await expectOnlyExt4(lab, drive);
      for (const at of copies) expect([at, await markAt(drive, at)]).not.toEqual([at, MARK]);
    }));

  test('nor at 256 GiB of a large drive', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: 300 * 1024 });
      await withoutDiscard(drive);
      await lab.partition(drive, 'label: gpt\nstart=40MiB\n');
      const copies = [0, 1, 40].map((start) => start * MIB + 256 * 1024 * MIB);
      await mark(drive, copies);
      await expectOnlyExt4(lab, drive);
      for (const at of copies) expect([at, await markAt(drive, at)]).not.toEqual([at, MARK]);
    }));
});
