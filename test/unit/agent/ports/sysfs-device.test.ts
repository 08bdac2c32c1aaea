import { expect, test } from 'vitest';
import { createSysfs, type KernelDevice } from '#agent/ports/sysfs';
import { makeTree, type Tree } from './tree.ts';

/** A device below `devices/<path>`, and its link in `block/`. */
const device = (path: string, files: Tree): Tree => {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return {
    [`block/${name}`]: `->../devices/${path}`,
    [`devices/${path}/dev`]: '8:0\n',
    ...Object.fromEntries(Object.entries(files).map(([file, text]) => [`devices/${path}/${file}`, text])),
  };
};

const read = async (tree: Tree): Promise<KernelDevice[]> => createSysfs({ sys: await makeTree(tree) }).kernelDevices();
const one = async (path: string, files: Tree, around: Tree = {}): Promise<KernelDevice> => {
  const [found] = await read({ ...device(path, files), ...around });
  if (found === undefined) throw new Error('no device');
  return found;
};

/** SCSI's page 0x80 with its header. */
const page = (serial: string): Buffer => Buffer.from(`\0\x80\0${String.fromCharCode(serial.length)}${serial}`, 'latin1');

const SATA = 'pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda';

test('a SATA drive: what it is, where it is, how large, what stands on it', async () => {
  const found = await one(SATA, {
    size: '7814037168\n',
    diskseq: '12\n',
    removable: '0\n',
    ro: '1\n',
    'queue/rotational': '1\n',
    'queue/logical_block_size': '4096\n',
    stat: '   10  1  2048 5  20  2  4096  6 0 7 8 0 0 0 0 0 0\n',
    'holders/md127': '',
    'device/model': 'WDC WD40EFRX-68N\n',
    'device/vendor': 'ATA     \n',
    'device/wwid': 'naa.50014ee2b1234567\n',
    'device/vpd_pg80': page('     WD-WCC4E1234567'),
    'device/power/runtime_status': 'suspended\n',
    'sda-of-something-else/x': '',
    'sda1/dev': '8:1\n',
    'sda1/size': '2048\n',
    'sda1/start': '34\n',
    'sda1/holders/dm-3': '',
  });
  expect(found).toEqual({
    name: 'sda',
    numbers: '8:0',
    rotational: true,
    usb: false,
    slaves: [],
    partitions: [{ name: 'sda1', numbers: '8:1', sizeBytes: 1_048_576, startBytes: 17_408, holders: ['dm-3'] }],
    dm: null,
    sizeBytes: 4_000_787_030_016,
    diskseq: 12,
    removable: false,
    readOnly: true,
    path: `/sys/devices/${SATA}`,
    transport: 'sata',
    model: 'WDC WD40EFRX-68N',
    serial: 'WD-WCC4E1234567',
    wwn: '0x50014ee2b1234567',
    usbDevice: null,
    pciAddresses: ['0000:00:1f.2'],
    holders: ['md127'],
    backingFile: null,
    md: null,
    sectorsRead: 2048,
    sectorsWritten: 4096,
    suspended: true,
    logicalSectorBytes: 4096,
  });
});

test('a drive of which the kernel says nothing has no figures, and no made-up ones', async () => {
  expect(await one(SATA, {})).toMatchObject({
    ...{ sizeBytes: null, diskseq: null, model: '', serial: '', wwn: '', sectorsRead: null, sectorsWritten: null },
    ...{ suspended: false, logicalSectorBytes: 512, partitions: [], holders: [], rotational: null },
  });
});

test('figures that nobody counts are none', async () => {
  const stat = '   10  1  2048 5  20  2  4096  6 0 7 8 0 0 0 0 0 0\n';
  expect(await one(SATA, { stat, 'queue/iostats': '0\n' })).toMatchObject({ sectorsRead: null, sectorsWritten: null });
  expect(await one(SATA, { stat, 'queue/iostats': '1\n' })).toMatchObject({ sectorsRead: 2048, sectorsWritten: 4096 });
});

test('a USB drive behind a hub: the bridge it hangs on, by its port; SATA behind the bridge does not count', async () => {
  const hub = 'pci0000:00/0000:00:14.0/usb2/2-1';
  const found = await one(
    `${hub}/2-1.4/2-1.4:1.0/host7/target7:0:0/7:0:0:0/block/sdc`,
    { 'device/model': 'Elements 25A2\n', 'device/wwid': 't10.WD Elements 25A2 WX11\n' },
    {
      [`devices/${hub}/idVendor`]: '05e3\n',
      [`devices/${hub}/2-1.4/idVendor`]: '1058\n',
      [`devices/${hub}/2-1.4/idProduct`]: '25a2\n',
      [`devices/${hub}/2-1.4/serial`]: '575831314135\n',
    },
  );
  expect(found).toMatchObject({
    transport: 'usb',
    usb: true,
    serial: '575831314135',
    wwn: '',
    usbDevice: { vendor: '1058', product: '25a2', serial: '575831314135', port: '2-1.4' },
    pciAddresses: ['0000:00:14.0'],
  });
});

test.each<[string, string, Tree, Partial<KernelDevice>]>([
  [
    'NVMe',
    'pci0000:00/0000:00:1d.0/0000:03:00.0/nvme/nvme0/nvme0n1',
    { wwid: 'eui.0025385b71b00f2d\n', 'device/model': 'Samsung SSD 980\n', 'device/serial': 'S64 \n', 'device/wwid': '' },
    {
      transport: 'nvme',
      wwn: 'eui.0025385b71b00f2d',
      model: 'Samsung SSD 980',
      serial: 'S64',
      pciAddresses: ['0000:00:1d.0', '0000:03:00.0'],
    },
  ],
  [
    'SAS',
    'pci0000:00/0000:01:00.0/host0/port-0:0/end_device-0:0/target0:0:0/0:0:0:0/block/sdb',
    {},
    { transport: 'sas', pciAddresses: ['0000:01:00.0'] },
  ],
  [
    'a memory card',
    'pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0',
    { 'device/name': 'SD64G\n', 'device/serial': '0x1234abcd\n' },
    { transport: 'mmc', model: 'SD64G', serial: '0x1234abcd' },
  ],
  [
    'a virtual disk',
    'pci0000:00/0000:00:02.0/virtio1/block/vda',
    { serial: 'LABSYS0001' },
    { transport: 'virtio', serial: 'LABSYS0001', pciAddresses: ['0000:00:02.0'] },
  ],
  ['iSCSI', 'platform/host9/session1/target9:0:0/9:0:0:1/block/sdd', {}, { transport: 'network' }],
  ['Fibre Channel', 'pci0000:00/0000:05:00.0/host3/rport-3:0-1/target3:0:0/3:0:0:0/block/sde', {}, { transport: 'network' }],
  ['NVMe over TCP', 'virtual/nvme-fabrics/ctl/nvme4/nvme4n1', {}, { transport: 'network', pciAddresses: [] }],
  [
    'a loop device',
    'virtual/block/loop3',
    { 'loop/backing_file': '/srv/a b \n' },
    { transport: 'loop', backingFile: '/srv/a b ', pciAddresses: [] },
  ],
  [
    'an md array',
    'virtual/block/md127',
    {
      'md/level': 'raid1\n',
      'md/uuid': '0b1c\n',
      'md/dev-sda1/state': 'in_sync\n',
      'md/dev-sdb1/state': 'faulty\n',
      'slaves/sda1': '',
    },
    { transport: '', slaves: ['sda1'], md: { level: 'raid1', uuid: '0b1c', members: ['sda1', 'sdb1'] } },
  ],
])('%s', async (_what, path, files, facts) => expect(await one(path, files)).toMatchObject(facts));

test('an NVMe drive with several controllers has the PCI addresses of all; its hidden paths are no drives', async () => {
  const subsystem = 'virtual/nvme-subsystem/nvme-subsys0';
  const controller = (bus: string, number: number) => `pci0000:00/0000:${bus}:00.0/nvme/nvme${number}`;
  const found = await read({
    ...device(`${subsystem}/nvme0n1`, { 'device/model': 'PM1733' }),
    [`devices/${subsystem}/nvme0`]: `->../../../${controller('01', 0)}`,
    [`devices/${subsystem}/nvme1`]: `->../../../${controller('02', 1)}`,
    [`devices/${controller('01', 0)}/address`]: '',
    [`devices/${controller('02', 1)}/address`]: '',
    'block/nvme0c0n1': `->../devices/${controller('01', 0)}/nvme0c0n1`,
    [`devices/${controller('01', 0)}/nvme0c0n1/hidden`]: '1\n',
  });
  expect(found.map(({ name, transport, pciAddresses }) => [name, transport, pciAddresses])).toEqual([
    ['nvme0n1', 'nvme', ['0000:01:00.0', '0000:02:00.0']],
  ]);
});

test('what decides over a drive is not left out when it cannot be read', async () => {
  // A directory in a file's place fails as an unreadable file does, also for root.
  await expect(one(SATA, { 'sda1/dev/x': '' })).rejects.toThrow('EISDIR');
  await expect(one(SATA, { 'size/x': '' })).rejects.toThrow('EISDIR');
  await expect(one(SATA, { 'loop/backing_file/x': '' })).rejects.toThrow('EISDIR');
  await expect(createSysfs({ sys: '/nonexistent' }).kernelDevices()).rejects.toThrow('ENOENT');
});

test('the drives of this machine', async () => {
  const found = await createSysfs().kernelDevices();
  expect(found.length).toBeGreaterThan(0);
  for (const { name, numbers, path } of found) {
    expect(numbers).toMatch(/^\d+:\d+$/);
    expect(path).toMatch(new RegExp(`^/sys/devices/.*/${name}$`));
  }
});
