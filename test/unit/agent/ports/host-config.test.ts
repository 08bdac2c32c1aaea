import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '#agent/ports/clock';
import { createHostFiles } from '#agent/ports/host-config';
import { makeTree, type Tree } from './tree.ts';

const read = async (tree: Tree) => createHostFiles({ clock: systemClock, root: await makeTree(tree) }).read();
const EFI = 'sys/firmware/efi/efivars';
const BOOT = '8be4df61-93ca-11d2-aa0d-00e098032b8c';

const NOTHING = { fstab: [], crypttab: [], mdUuids: [], units: [], bootUuids: [], efiPartitions: [], datastores: [] };

test('a host without any of these files', async () => expect(await read({ './': '' })).toEqual(NOTHING));

test('units of every directory, each once: drop-ins too, links, what is masked not', async () => {
  const mount = (what: string) => `[Mount]\nWhat=${what}\nWhere=/mnt/x\n`;
  const { units } = await read({
    lib: '->usr/lib',
    'etc/systemd/system/mnt-a.mount': mount('/dev/a'),
    'etc/systemd/system/mnt-off.mount': '->/dev/null',
    'etc/systemd/system/mnt-gone.mount': '->/nonexistent',
    'etc/systemd/system/local-fs.target.wants/mnt-a.mount': '->../mnt-a.mount',
    'etc/systemd/system/mnt-a.mount.d/other.conf': '[Mount]\nWhat=/dev/b\n',
    'etc/systemd/system/mnt-a.mount.d/ignored.txt': '[Mount]\nWhat=/dev/none\n',
    'run/systemd/generator/dev-sdc2.swap': '[Swap]\nWhat=/dev/sdc2\n',
    'run/systemd/transient/mnt-d.mount': mount('/dev/d'),
    'usr/lib/systemd/system/mnt-e.mount': mount('/dev/e'),
    'usr/lib/systemd/system/e.service': mount('/dev/none'),
  });
  expect(units.map(({ file, what }) => `${file} ${what}`)).toEqual([
    'mnt-a.mount /dev/a',
    'mnt-a.mount /dev/b',
    'mnt-d.mount /dev/d',
    'dev-sdc2.swap /dev/sdc2',
    'mnt-e.mount /dev/e',
  ]);
});

test('fstab, crypttab, arrays of all files, boot loaders, datastores', async () => {
  const found = await read({
    'etc/fstab': 'UUID=1 / ext4\n',
    'etc/crypttab': 'c UUID=2\n',
    'etc/mdadm/mdadm.conf': `ARRAY /dev/md0 UUID=${'1'.repeat(32)}\n`,
    'etc/mdadm/mdadm.conf.d/own.conf': `ARRAY /dev/md1 UUID=${'2'.repeat(32)}\n`,
    'etc/kernel/proxmox-boot-uuids': 'D0B1-3CC5\n',
    'etc/proxmox-backup/datastore.cfg':
      'datastore: usb\n\tcomment off site\n\tpath data\n\tbacking-device 1c2d-3e4f\n\ndatastore: local\n\tpath /srv/pbs\n',
  });
  expect(found).toMatchObject({
    ...{ fstab: [{ spec: 'UUID=1' }], crypttab: [{ name: 'c', device: 'UUID=2' }], bootUuids: ['D0B1-3CC5'] },
    mdUuids: ['1'.repeat(32), '2'.repeat(32)],
    datastores: [
      { name: 'usb', path: 'data', backingDevice: '1c2d-3e4f' },
      { name: 'local', path: '/srv/pbs', backingDevice: '' },
    ],
  });
});

/** An entry that names the partition 78563412 of an MBR. */
const entry = (number: number): Buffer => {
  const path = Buffer.alloc(42);
  path.set([4, 1, 42, 0, number]);
  path.set([0x78, 0x56, 0x34, 0x12], 24);
  path.set([1, 1], 40);
  return Buffer.concat([Buffer.from([7, 0, 0, 0, 1, 0, 0, 0, 42, 0, 0, 0]), path]);
};

test("the firmware's entries are read again only after ten minutes, for reading them stops the processors", async () => {
  const root = await makeTree({
    [`${EFI}/Boot0001-${BOOT}`]: entry(1),
    [`${EFI}/BootOrder-${BOOT}`]: 'x',
    [`${EFI}/Boot0001-other`]: 'x',
  });
  let now = 0;
  const files = createHostFiles({ clock: { ...systemClock, monotonic: () => now }, root });
  expect((await files.read()).efiPartitions).toEqual(['12345678-01']);
  await writeFile(join(root, EFI, `Boot0002-${BOOT}`), entry(2));
  now = 599_999;
  expect((await files.read()).efiPartitions).toEqual(['12345678-01']);
  now = 600_000;
  expect((await files.read()).efiPartitions).toEqual(['12345678-01', '12345678-02']);
});

test.each<[string, Tree, string]>([
  ['an fstab of something else', { 'etc/fstab': 'what is this\nUUID=1' }, '/etc/fstab'],
  ['an fstab that is not text', { 'etc/fstab': Buffer.from([0, 1, 2]) }, '/etc/fstab'],
  ['an fstab that cannot be read', { 'etc/fstab/x': '' }, 'EISDIR'],
  ['a unit that is not text', { 'etc/systemd/system/a.mount': Buffer.from([0xff, 0xfe]) }, 'a.mount'],
  ['a unit that cannot be followed', { 'etc/systemd/system/a.mount': '[Mount]\nWhat=%b' }, 'a.mount'],
  ['units that cannot be read', { 'etc/systemd/system/a.mount/x': '' }, 'EISDIR'],
  ['a datastore twice', { 'etc/proxmox-backup/datastore.cfg': 'datastore: a\n\tpath /x\n\tpath /y\n' }, 'datastore.cfg'],
  ['a boot entry that is cut', { [`${EFI}/Boot0001-${BOOT}`]: entry(1).subarray(0, 30) }, 'Boot0001'],
  ['variables of the firmware that are not mounted', { [`${EFI}/`]: '' }, 'efivarfs'],
])('%s is no answer', async (_what, tree, why) => {
  await expect(read(tree)).rejects.toThrow(why);
});
