import { expect, test } from 'vitest';
import { createPhysicalVolumes } from '#agent/disks/sources/physical-volumes';
import type { PhysicalVolume } from '#agent/ports/lvm';
import type { KernelDevice } from '#agent/ports/sysfs';
import type { UdevEntry } from '#agent/ports/udev-db';
import { kernelDevice } from '../../fake-host.ts';

const part = (name: string) => ({ name, numbers: name, sizeBytes: 1, startBytes: 1, holders: [] });
const SDA = kernelDevice({ name: 'sda', partitions: [part('sda3')] });
const SDB = kernelDevice({ name: 'sdb', diskseq: 2 });

const pv = (uuid: string): UdevEntry => ({ properties: { ID_FS_TYPE: 'LVM2_member', ID_FS_UUID: uuid }, links: [] });
const UDEV = new Map([
  ['sda', { properties: { ID_PART_TABLE_TYPE: 'gpt' }, links: [] }],
  ['sda3', pv('A')],
  ['sdb', pv('B')],
]);
const row = (device: string, uuid: string): PhysicalVolume => ({ device, uuid, group: 'pve', groupUuid: 'G', missing: false });
const bare = (device: string, uuid: string): PhysicalVolume => ({ device, uuid, group: '', groupUuid: '', missing: false });

/** LVM that knows of one group on sda3 and sdb. */
const setup = (asleep: Set<string> = new Set(), loopDrives: string[] = []) => {
  const asked: (readonly string[])[] = [];
  const all = [row('/dev/sda3', 'A'), row('/dev/sdb', 'B')];
  const read = createPhysicalVolumes(
    {
      isAsleep: async ({ name }) => asleep.has(name),
      lvm: {
        physicalVolumes: async (devices) => {
          asked.push(devices);
          if (devices.length === 0) return [];
          return all.map((one) => (devices.includes(one.device) ? one : { ...one, device: '', missing: true }));
        },
      },
    },
    loopDrives,
  );
  return { read, asked, asleep };
};

test('LVM is asked about what udev knows to be its own, once', async () => {
  const { read, asked } = setup();
  const found = [row('/dev/sda3', 'A'), row('/dev/sdb', 'B')];
  expect(await read([SDA, SDB], UDEV)).toEqual(found);
  expect(await read([SDA, SDB], UDEV)).toEqual(found);
  expect(asked).toEqual([['/dev/sda3', '/dev/sdb']]);
});

test('it is asked again when a drive was plugged in anew, a volume came or went, or a group began to work', async () => {
  const { read, asked } = setup();
  const dm = (name: string) => kernelDevice({ name: 'dm-0', dm: { name, uuid: 'LVM-1' } });
  await read([SDA], UDEV);
  await read([{ ...SDA, diskseq: 9 }], UDEV);
  await read([{ ...SDA, diskseq: 9 }, dm('pve-root')], UDEV);
  await read([{ ...SDA, diskseq: 9 }, dm('new-root')], UDEV);
  await read([{ ...SDA, diskseq: 9 }, dm('new-root')], new Map([['sda3', pv('C')]]));
  expect(asked).toHaveLength(5);
});

test('a drive that sleeps is not asked about: of its volume is told what udev and an earlier answer know', async () => {
  const { read, asked, asleep } = setup(new Set(['sdb']));
  expect(await read([SDA, SDB], UDEV)).toEqual([row('/dev/sda3', 'A'), bare('/dev/sdb', 'B')]);
  expect(asked).toEqual([['/dev/sda3']]);
  asleep.clear();
  await read([{ ...SDA, diskseq: 9 }, SDB], UDEV);
  asleep.add('sdb');
  expect(await read([{ ...SDA, diskseq: 10 }, SDB], UDEV)).toEqual([row('/dev/sda3', 'A'), row('/dev/sdb', 'B')]);
});

test('a volume that a group lacks is told; one of two with the same UUID is not lost', async () => {
  const { read } = setup();
  expect(await read([SDA], UDEV)).toEqual([row('/dev/sda3', 'A'), { ...row('', 'B'), missing: true }]);
  const clone = kernelDevice({ name: 'sdc' });
  expect(await read([SDA, SDB, clone], new Map([...UDEV, ['sdc', pv('B')]]))).toContainEqual(bare('/dev/sdc', 'B'));
});

test.each<[string, KernelDevice]>([
  [
    'an LVM volume, whose inside is a guest’s',
    kernelDevice({ name: 'dm-5', dm: { name: 'pve-vm--101--disk--0', uuid: 'LVM-x' } }),
  ],
  ['a ZFS volume', kernelDevice({ name: 'zd0' })],
  ['an image that somebody looks into', kernelDevice({ name: 'loop3', backingFile: '/srv/guest.img' })],
])('what is inside of %s is not looked into', async (_what, device) => {
  const { read, asked } = setup();
  expect(await read([device], new Map([[device.name, pv('A')]]))).toEqual([]);
  expect(asked).toEqual([[]]);
});

test('a loop device that stands for a drive, an encrypted volume and an array are looked into', async () => {
  const { read, asked } = setup(new Set(), ['/srv/drive.img']);
  const devices = [
    kernelDevice({ name: 'loop3', backingFile: '/srv/drive.img' }),
    kernelDevice({ name: 'dm-1', dm: { name: 'crypt', uuid: 'CRYPT-LUKS2-x' } }),
    kernelDevice({ name: 'md127' }),
  ];
  await read(devices, new Map(devices.map(({ name }) => [name, pv(name)])));
  expect(asked).toEqual([['/dev/loop3', '/dev/dm-1', '/dev/md127']]);
});

test('a failure is not kept: LVM is asked again', async () => {
  let calls = 0;
  const read = createPhysicalVolumes(
    {
      isAsleep: async () => false,
      lvm: {
        physicalVolumes: async () => {
          calls += 1;
          throw new Error('pvs');
        },
      },
    },
    [],
  );
  await expect(read([SDA], UDEV)).rejects.toThrow('pvs');
  await expect(read([SDA], UDEV)).rejects.toThrow('pvs');
  expect(calls).toBe(2);
});
