/** What a format leaves of what was on the drive: nothing that anybody could recognise it by. */
import { describe, expect, test, vi } from 'vitest';
import { bytesAt, formatsIn, formatted, orderFor, shownOn } from './formatting.ts';
import { type Lab, type LabDrive, labMissing, programsMissing, run, withLab } from './lab.ts';
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

/** Where btrfs keeps its superblock and the first copy of it, and what is there at byte 64 (btrfs(5)). */
const BTRFS = { at: [64 * 1024, 64 * MIB], magic: '_BHRfS_M' };
const magicAt = async (device: string, at: number): Promise<string> =>
  (await bytesAt(device, at + 64, BTRFS.magic.length)).toString('latin1');

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
      const table = 'label: dos\n,16M\n,150M\n,100M\n,,E\n,20M\n,\n';
      const parts = await lab.partition(drive, table);
      expect(parts).toHaveLength(6);
      const [first = '', second = '', third = '', , fifth = '', sixth = ''] = parts;
      await lab.mkfs(first, 'swap');
      await lab.mkfs(second, 'btrfs');
      await lab.mkfs(third, 'lvm2');
      await lab.mkfs(fifth, 'exfat');
      await lab.mkfs(sixth, 'ext4');
      const places = await deviceOf(drive);
      expect(await magicAt(second, BTRFS.at[1] ?? 0)).toBe(BTRFS.magic);
      await expectOnlyExt4(lab, drive);

      // mkfs gave the place back to the file behind (discard), so that this shows nothing there; the next test is without.
      for (const { startBytes, sizeBytes } of places.partitions) {
        if (startBytes === null || sizeBytes === null || startBytes < 20 * MIB) continue;
        expect([startBytes, await bytesAt(drive.device, startBytes, 4096)]).toEqual([startBytes, Buffer.alloc(4096)]);
      }
    }));

  test('no copy of a btrfs superblock is left, of the drive, of a partition, nor where the new one’s would be', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: 256 });
      await lab.partition(drive, 'label: gpt\n,30M\n,\n');
      const start = (await deviceOf(drive)).partitions[1]?.startBytes ?? 0;
      const copies = [64 * MIB, start + 64 * MIB, MIB + 64 * MIB];
      for (const at of copies)
        await run(
          'sh',
          '-c',
          `printf '%s' ${BTRFS.magic} | dd of=${drive.device} bs=1 seek=${at + 64} conv=notrunc,fsync status=none`,
        );
      for (const at of copies) expect(await magicAt(drive.device, at)).toBe(BTRFS.magic);
      await expectOnlyExt4(lab, drive);
      for (const at of copies) expect([at, await magicAt(drive.device, at)]).not.toEqual([at, BTRFS.magic]);
    }));
});
