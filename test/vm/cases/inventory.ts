/** Every drive known by what udev and the kernel say of it, and its role certain. */
import { describe, expect, test } from 'vitest';
import { USB, until, type VmHost } from '../host.ts';
import { SERIALS, WWNS } from '../vm.ts';

const BY_ID = '/dev/disk/by-id';

const DRIVES = [
  [
    'NVMe',
    SERIALS.nvme,
    { transport: 'nvme', class: 'fast', role: 'system', model: 'QEMU NVMe Ctrl' },
    'Proxmox keeps files of its own on it (storage "nvme").',
    `${BY_ID}/nvme-QEMU_NVMe_Ctrl_${SERIALS.nvme}`,
  ],
  [
    'SATA',
    SERIALS.sata,
    { transport: 'sata', class: 'slow', role: 'backup', wwn: WWNS.sata },
    'Proxmox keeps backups on it (storage "sata-backup").',
    `${BY_ID}/ata-LAB-SATA-DISK_${SERIALS.sata}`,
  ],
  [
    'SCSI with LVM-thin',
    SERIALS.lvm,
    { role: 'system', wwn: WWNS.lvm },
    'Proxmox keeps guests\' disks on it (storage "local-lvm").',
    `${BY_ID}/wwn-${WWNS.lvm}`,
  ],
  ['USB', SERIALS.usb, { transport: 'usb', role: 'user-data' }, "It is for data of a guest's own", USB],
  ['virtio', SERIALS.system, { role: 'system' }, 'The host itself runs from it.', `${BY_ID}/virtio-${SERIALS.system}`],
] as const;

export const inventoryCases = (host: () => VmHost): void => {
  describe('the inventory', () => {
    test.each(DRIVES)('the %s drive: identity, role and why', async (_kind, serial, facts, reason, link) => {
      const drive = await host().drive(serial);
      expect(drive).toMatchObject(facts);
      expect(drive.reasons.map(({ sentence }) => sentence)).toContainEqual(expect.stringContaining(reason));
      expect(drive.links).toContain(link);
      expect(drive.data_bearing).toBe(true);
    });

    test('layers are no drives', async () => {
      const { drives, missing } = await host().drives();
      expect(missing).toEqual([]);
      expect(drives.map(({ name }) => name).filter((name) => /^(dm-|loop|sr)/.test(name))).toEqual([]);
    });

    test('a guest sees them too; only a drive that serves nothing else could be its own', async () => {
      const { status, json } = await host().get('/disks');
      expect(status).toBe(200);
      const found = Object.fromEntries(json.data.disks.map((disk: { serial: string }) => [disk.serial, disk]));
      expect(found[SERIALS.usb]).toMatchObject({ owner: 'free', role: 'user-data' });
      for (const serial of [SERIALS.nvme, SERIALS.sata, SERIALS.lvm, SERIALS.system]) expect(found[serial]?.owner ?? '').toBe('');
    });

    test('the empty USB drive was read to its end and is blank', async () => {
      const found = await until(
        () => host().drive(SERIALS.usb),
        ({ data_bearing }) => !data_bearing,
      );
      expect(found.data_reason).not.toContain('not been read');
    });
  });
};
