/** The lab itself: what it makes is there, and what it made is gone, also after a failure. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { labMissing, run, withLab } from './lab.ts';

describe.skipIf(labMissing !== '')(`drives on loop devices${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('a drive has partitions, file systems and an entry in udev’s database', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'photos', model: 'Lab Disk', serial: 'S1', wwn: '0x5000c500a1b2c3d4' });
      const [first = '', second = ''] = await lab.partition(drive, 'label: gpt\n,20M\n,\n');
      const uuid = await lab.mkfs(first, 'ext4', { label: 'Photos' });
      expect([first, second]).toEqual([`${drive.device}p1`, `${drive.device}p2`]);
      const entry = readFileSync(join(lab.udevDir, 'data', `b${drive.numbers}`), 'utf8');
      expect(entry).toContain('S:disk/by-id/ata-Lab_Disk_S1\n');
      expect(entry).toContain('E:ID_SERIAL_SHORT=S1\n');
      const part = readFileSync(`/sys/class/block/${first.slice(5)}/dev`, 'utf8').trim();
      expect(readFileSync(join(lab.udevDir, 'data', `b${part}`), 'utf8')).toContain(`E:ID_FS_UUID=${uuid}\n`);
      await lab.mount(first, join(lab.dir, 'mnt'));
      writeFileSync(join(lab.dir, 'mnt', 'file'), 'x');
    });
  });

  test('after a failure nothing is mounted, attached or left in the directory', async () => {
    let dir = '';
    let device = '';
    const failing = withLab(async (lab) => {
      dir = lab.dir;
      const drive = await lab.drive({ name: 'one' });
      device = drive.device;
      await lab.mkfs(device, 'ext4');
      await lab.mount(device, join(dir, 'mnt'));
      throw new Error('as a failed expectation');
    });
    await expect(failing).rejects.toThrow('as a failed expectation');
    expect(existsSync(dir)).toBe(false);
    expect(await run('losetup', '--list', '--noheadings', '--output', 'BACK-FILE')).not.toContain(dir);
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir);
  });

  test('a drive that was pulled and plugged in again has its file systems', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'one', serial: 'S1' });
      const [part = ''] = await lab.partition(drive, 'label: dos\n,\n');
      const uuid = await lab.mkfs(part, 'ext4');
      await lab.detach(drive);
      const again = await lab.attach(drive.file, drive.spec);
      const entry = readFileSync(join(lab.udevDir, 'data', `b${again.numbers}`), 'utf8');
      expect(entry).toContain('E:ID_SERIAL_SHORT=S1\n');
      expect(existsSync(`${again.device}p1`)).toBe(true);
      expect(uuid).not.toBe('');
    });
  });
});
