/** What each thing on the host makes of a drive: the role, in which words, and whether it lasts (`!`). */
import { describe, expect, test } from 'vitest';
import { type DriveSpec, evidenceOf, type HostSpec, host, look, seen, uuidOf } from './host.ts';
import { madeRecord } from './made.ts';

const PHOTOS: DriveSpec = { name: 'sdb' };
const UUID = uuidOf('sdb1');

test('a drive with a file system that nobody has anything on is user-data', () => {
  const { role, why, drive } = look(host({ drives: [PHOTOS] }));
  expect(role('sdb')).toBe('user-data');
  expect(why('sdb')).toBe("user-data: It is for data of a guest's own: the host does not use it, and no backups are on it.");
  expect(drive('sdb').filesystems).toEqual([
    { device: 'sdb1', numbers: '8:17', sizeBytes: 100e9, fstype: 'ext4', uuid: UUID, label: '' },
  ]);
  expect(role('sda')).toBe('system');
});

describe('what the host has on it, or is set up to have', () => {
  const unit = { file: '/etc/systemd/system/mnt-usb.mount', what: '/dev/disk/by-id/ata-Drive_S-sdb-part1', where: '/mnt/usb' };
  const store = { type: 'dir', id: 'usb', path: '/mnt/usb' };
  const fstab = (spec: string, point = '/mnt/usb', options = ['noauto']) => ({
    host: { fstab: [{ spec, point, fstype: 'ext4', options }] },
  });

  test.each<[string, Partial<HostSpec>, string]>([
    ['a mount by hand', { mounts: [{ point: '/media/x', from: 'sdb1' }] }, 'system: The host mounts it at /media/x.'],
    ['/boot', { mounts: [{ point: '/boot', from: 'sdb1' }] }, 'system!: The host starts from it (/boot).'],
    ['/boot/efi', { mounts: [{ point: '/boot/efi', from: 'sdb1' }] }, 'system!: The host starts from it (/boot/efi).'],
    ['/var', { mounts: [{ point: '/var', from: 'sdb1' }] }, 'system!: The host mounts it at /var.'],
    [
      'a mount through FUSE',
      { mounts: [{ point: '/media/x', from: 'sdb1', fstype: 'fuseblk', device: '0:50' }] },
      'system: The host mounts it at /media/x.',
    ],
    ['fstab by UUID, not mounted', fstab(`UUID=${UUID}`), 'system!: The host mounts it at /mnt/usb (/etc/fstab).'],
    [
      'fstab by UUID in capitals and quotes',
      fstab(`UUID="${UUID.toUpperCase()}"`),
      'system!: The host mounts it at /mnt/usb (/etc/fstab).',
    ],
    ['fstab by UUID, as nobody writes it', fstab(`uuid=${UUID}`), 'system!: The host mounts it at /mnt/usb (/etc/fstab).'],
    ['fstab by by-uuid', fstab(`/dev/disk/by-uuid/${UUID}`), 'system!: The host mounts it at /mnt/usb (/etc/fstab).'],
    ['fstab by PARTUUID', fstab(`PARTUUID=${uuidOf('p:sdb1')}`), 'system!: The host mounts it at /mnt/usb (/etc/fstab).'],
    ['fstab by kernel name', fstab('/dev/sdb1'), 'system!: The host mounts it at /mnt/usb (/etc/fstab).'],
    ['fstab by a partition that is gone', fstab('/dev/sdb7'), 'system!: The host mounts it at /mnt/usb (/etc/fstab).'],
    ['fstab, for swap', fstab(`UUID=${UUID}`, 'none'), 'system!: The host uses it as swap space.'],
    [
      'a unit by by-id',
      { host: { units: [unit] } },
      'system!: The host mounts it at /mnt/usb (/etc/systemd/system/mnt-usb.mount).',
    ],
    [
      'crypttab',
      { host: { crypttab: [{ name: 'vault', device: `UUID=${UUID}` }] } },
      'system!: The host unlocks it at its start (crypttab, "vault").',
    ],
    ['swap now', { swaps: ['/dev/sdb1'] }, 'system!: The host uses it as swap space.'],
    ['proxmox-boot-tool', { host: { bootUuids: [UUID] } }, 'system!: The host starts from it (proxmox-boot-tool).'],
    [
      'a boot entry of the firmware',
      { host: { efiPartitions: [uuidOf('p:sdb1')] } },
      "system!: The host's firmware starts from it.",
    ],
    ['a volume group', { lvm: [{ device: '/dev/sdb1', group: 'data' }] }, 'system!: It is part of the LVM volume group "data".'],
    ['a pool', { zfs: [{ name: 'tank', devices: ['/dev/sdb1'] }] }, 'system!: It is part of the ZFS pool "tank".'],
    ['an array', { md: [{ name: 'md0', members: ['sdb1'] }] }, 'system!: It is part of the software RAID md0.'],
    [
      'a locked volume opened by hand',
      { layers: [{ name: 'dm-1', dm: { name: 'vault', uuid: 'CRYPT-LUKS2-x' }, slaves: ['sdb1'] }] },
      'system: Another device of the host stands on it: vault.',
    ],
    [
      'a loop device on it',
      { layers: [{ name: 'loop3', backingFile: '/dev/sdb1' }] },
      'system: Another device of the host stands on it: loop3.',
    ],
    [
      'a storage for disks',
      { ...fstab(`UUID=${UUID}`), storages: [{ ...store, content: 'images,rootdir' }] },
      'system!: Proxmox keeps guests\' disks on it (storage "usb").',
    ],
    [
      'a storage for disks and backups',
      { ...fstab(`UUID=${UUID}`), storages: [{ ...store, content: 'backup,images' }] },
      'system!: Proxmox keeps guests\' disks on it (storage "usb").',
    ],
    [
      'a storage that does not say for what',
      { ...fstab(`UUID=${UUID}`), storages: [store] },
      'system!: Proxmox keeps guests\' disks on it (storage "usb").',
    ],
    [
      'a storage for images of discs',
      { ...fstab(`UUID=${UUID}`), storages: [{ ...store, content: 'iso' }] },
      'system!: Proxmox keeps files of its own on it (storage "usb").',
    ],
    [
      'a storage in a volume group',
      {
        lvm: [{ device: '/dev/sdb1', group: 'data' }],
        storages: [{ type: 'lvmthin', id: 'fast', vgname: 'data', thinpool: 'data' }],
      },
      'system!: Proxmox keeps guests\' disks on it (storage "fast").',
    ],
    [
      'a storage in a pool',
      { zfs: [{ name: 'tank', devices: ['/dev/sdb1'] }], storages: [{ type: 'zfspool', id: 'zfs', pool: 'tank/vms' }] },
      'system!: Proxmox keeps guests\' disks on it (storage "zfs").',
    ],
    [
      'an image file in a VM',
      { mounts: [{ point: '/data', from: 'sdb1' }], guests: { 105: 'scsi1: /data/disk.raw,size=1G' } },
      'system!: It is given to guest 105 (scsi1).',
    ],
    [
      'a mount in another namespace',
      { mounts: [{ point: '/x', from: 'sdb1', host: false }] },
      'system: It is mounted at /x where only some programs see it (process 4242).',
    ],
    [
      'a mount at our place that nobody asked for',
      { mounts: [{ point: '/mnt/felhom/photos', from: 'sdb1' }] },
      'system: The host mounts it at /mnt/felhom/photos.',
    ],
  ])('%s: system', (_what, spec, sentence) => {
    const { role, why } = look(host({ drives: [PHOTOS], ...spec }));
    expect(why('sdb').split('\n')).toContain(sentence);
    expect(role('sdb')).toBe('system');
  });

  test.each<[string, Partial<HostSpec>]>([
    [
      'through dm-crypt',
      { layers: [{ name: 'dm-1', dm: { name: 'x', uuid: '' }, slaves: ['sdb1'] }], mounts: [{ point: '/srv', from: 'dm-1' }] },
    ],
    [
      'through RAID and dm',
      {
        layers: [
          { name: 'md0', md: { level: 'raid1', uuid: '', members: ['sdb1'] } },
          { name: 'dm-1', slaves: ['md0'] },
        ],
        mounts: [{ point: '/srv', from: 'dm-1' }],
      },
    ],
    [
      'through a loop on a file',
      {
        mounts: [
          { point: '/srv', from: 'sdb1' },
          { point: '/opt', from: 'loop3' },
        ],
        layers: [{ name: 'loop3', backingFile: '/srv/opt.img' }],
      },
    ],
    [
      'through a pool',
      {
        zfs: [{ name: 'tank', devices: ['/dev/sdb1'] }],
        mounts: [{ point: '/srv', from: '', fstype: 'zfs', device: '0:44', source: 'tank/srv' }],
      },
    ],
    ['by swap in a file', { mounts: [{ point: '/opt', from: 'sdb1' }], swaps: ['/opt/swapfile'] }],
  ])('a use is found %s', (_how, spec) => {
    const { why } = look(host({ drives: [PHOTOS], ...spec }));
    expect(why('sdb')).toMatch(/^system!: /);
  });

  test('what stands on a drive by the dozen is told once', () => {
    const many = Array.from({ length: 40 }, (_none, index) => `dm-${index + 10}`);
    const layers = many.map((name) => ({ name, dm: { name: `pve-${name}`, uuid: 'LVM-x' }, slaves: ['sdb1'] }));
    const roots = many.map((from) => ({ point: '/', from, host: false }));
    const datasets = many.map((name) => ({ point: '/', from: '', fstype: 'zfs', source: `tank/${name}`, host: false }));
    const unit = { file: '/run/systemd/generator/srv.mount', what: `/dev/disk/by-uuid/${UUID}`, where: '/srv' };
    const { drive } = look(
      host({
        drives: [PHOTOS],
        layers,
        mounts: [...roots, ...datasets],
        zfs: [{ name: 'tank', devices: ['/dev/sdb1'] }],
        host: { fstab: [{ spec: `UUID=${UUID}`, point: '/srv/', fstype: 'ext4', options: [] }], units: [unit] },
      }),
    );
    expect(drive('sdb').reasons.map(({ sentence }) => sentence)).toEqual([
      'The host mounts it at /srv (/etc/fstab).',
      'It is part of the ZFS pool "tank".',
      'Something that stands on it is mounted where only some programs see it.',
      'Another device of the host stands on it: LVM.',
    ]);
    expect(drive('sdb').holders.map(({ sentence }) => sentence)).toEqual([
      'Something that stands on it is mounted where only some programs see it.',
      'LVM stands on it.',
    ]);
  });

  test('an array of which only /proc/mdstat tells the members', () => {
    const { why } = look(
      host({
        drives: [PHOTOS],
        layers: [{ name: 'md0' }],
        md: [{ name: 'md0', members: ['sdb1'] }],
        mounts: [{ point: '/opt', from: 'md0' }],
      }),
    );
    expect(why('sdb')).toContain('system!: The host mounts it at /opt.');
  });

  test('the agent’s own look at a drive is no use', () => {
    const options = ['ro', 'nosuid', 'nodev', 'noexec', 'relatime'];
    const { drive } = look(host({ drives: [PHOTOS], mounts: [{ point: '/mnt', from: 'sdb1', host: false, options }] }));
    expect([drive('sdb').role, drive('sdb').holders]).toEqual(['user-data', []]);
    const { role } = look(host({ drives: [PHOTOS], mounts: [{ point: '/mnt', from: 'sdb1', host: false }] }));
    expect(role('sdb')).toBe('system');
  });

  test('a copy of a host’s mount in another namespace adds nothing', () => {
    const mounts = [
      { point: '/media/x', from: 'sdb1' },
      { point: '/run/other/x', from: 'sdb1', host: false },
    ];
    const { drive } = look(host({ drives: [PHOTOS], mounts }));
    expect(drive('sdb').holders.map(({ sentence }) => sentence)).toEqual(['It is mounted on the host at /media/x.']);
  });

  test('a file on it that a loop device uses keeps it in use, and is no use of the drive by itself', () => {
    const assignment = {
      mountPoint: '/mnt/felhom/p',
      vmid: 101,
      drive: 1,
      uuid: UUID,
      fstype: 'ext4',
      options: '',
      link: 'x',
      match: { serial: '', wwn: '', sizeBytes: null },
      state: 'assigned',
      createdAt: 0,
    } as const;
    const { drive } = look(
      host({
        drives: [PHOTOS],
        mounts: [{ point: '/mnt/felhom/p', from: 'sdb1' }],
        layers: [{ name: 'loop3', backingFile: '/mnt/felhom/p/disk.img (deleted)' }],
      }),
      { assignments: [assignment] },
    );
    expect(drive('sdb').role).toBe('user-data');
    expect(drive('sdb').holders.map(({ sentence }) => sentence)).toContain('loop3 uses the file /mnt/felhom/p/disk.img on it.');
  });

  test('the other member of a btrfs that is mounted shows in no mount', () => {
    const fs = { on: [{ type: 'btrfs', uuid: UUID }] };
    const { why } = look(
      host({
        drives: [
          { name: 'sdb', parts: [fs] },
          { name: 'sdc', parts: [fs] },
        ],
        mounts: [{ point: '/srv', from: 'sdb1', fstype: 'btrfs', device: '0:47' }],
        btrfs: [['sdb1', 'sdc1']],
      }),
    );
    expect(why('sdc')).toMatch(/^system!: The host mounts it at \/srv\.$/m);
  });

  test('what felhom mounts for a guest is no use by the host', () => {
    const assignment = {
      mountPoint: '/mnt/felhom/photos',
      vmid: 101,
      drive: 1,
      uuid: UUID,
      fstype: 'ext4',
      options: '',
      link: 'photos-x',
      match: { serial: '', wwn: '', sizeBytes: null },
      state: 'assigned',
      createdAt: 0,
    } as const;
    const mounts = [
      { point: '/mnt/felhom/photos', from: 'sdb1' },
      { point: '/mnt/felhom/.guests/101/photos', from: 'sdb1' },
      { point: '/mnt/felhom/photos', from: 'sdb1', host: false },
    ];
    const { role, drive } = look(host({ drives: [PHOTOS], mounts }), { assignments: [assignment] });
    expect(role('sdb')).toBe('user-data');
    expect(drive('sdb').state).toBe('mounted');
    expect(drive('sdb').holders[0]).toEqual({
      kind: 'mount',
      sentence: 'It is mounted at /mnt/felhom/photos for guest 101.',
      vmid: 101,
      pid: null,
    });
    // Another file system at that place is none of ours.
    const other = look(host({ drives: [PHOTOS, { name: 'sdc' }], mounts: [{ point: '/mnt/felhom/photos', from: 'sdc1' }] }), {
      assignments: [assignment],
    });
    expect([other.role('sdb'), other.role('sdc')]).toEqual(['user-data', 'system']);
  });
});

describe('backup drives (T4)', () => {
  const line = { spec: `UUID=${UUID}`, point: '/mnt/usb', fstype: 'ext4', options: ['noauto'] };
  const fstab = [line];
  const storage = { type: 'dir', id: 'usb', path: '/mnt/usb', content: 'backup' };
  const SENTENCE = 'backup!: Proxmox keeps backups on it (storage "usb").';

  test.each<[string, Partial<HostSpec>, string]>([
    ['mounted', { mounts: [{ point: '/mnt/usb', from: 'sdb1' }], storages: [storage] }, SENTENCE],
    ['not mounted, noauto', { host: { fstab }, storages: [storage] }, SENTENCE],
    [
      'not mounted, by a unit',
      { host: { units: [{ file: 'x.mount', what: `/dev/disk/by-uuid/${UUID}`, where: '/mnt/usb' }] }, storages: [storage] },
      SENTENCE,
    ],
    ['disabled, of another node', { host: { fstab }, storages: [{ ...storage, disable: '1', nodes: 'pve2' }] }, SENTENCE],
    ['in a directory below its mount', { host: { fstab }, storages: [{ ...storage, path: '/mnt/usb/proxmox' }] }, SENTENCE],
    [
      'with a place of its own for is_mountpoint',
      { host: { fstab }, storages: [{ ...storage, path: '/mnt/usb/a', is_mountpoint: '/mnt/usb' }] },
      SENTENCE,
    ],
    ['for backups and images of discs', { host: { fstab }, storages: [{ ...storage, content: 'iso,backup' }] }, SENTENCE],
    [
      'unlocked at the start',
      {
        host: { crypttab: [{ name: 'vault', device: `UUID=${UUID}` }], fstab: [{ ...line, spec: '/dev/mapper/vault' }] },
        storages: [storage],
      },
      SENTENCE,
    ],
    [
      'a datastore, mounted',
      {
        mounts: [{ point: '/mnt/pbs', from: 'sdb1' }],
        host: { datastores: [{ name: 'main', path: '/mnt/pbs', backingDevice: '' }] },
      },
      'backup!: Proxmox Backup Server keeps backups on it (datastore "main").',
    ],
    [
      'a removable datastore, not mounted',
      { host: { datastores: [{ name: 'main', path: 'store', backingDevice: UUID }] } },
      'backup!: Proxmox Backup Server keeps backups on it (datastore "main").',
    ],
    ['first seen with archives', { looks: { sdb1: 'vzdump' } }, "backup!: There are backups of Proxmox's on it (sdb1)."],
    [
      'first seen with chunks',
      { looks: { sdb1: 'chunks' } },
      "backup!: There are the chunks of a Proxmox Backup Server's datastore on it (sdb1).",
    ],
  ])('%s', (_what, spec, sentence) => {
    const { role, why } = look(host({ drives: [PHOTOS], ...spec }));
    expect(why('sdb').split('\n')).toContain(sentence);
    expect(role('sdb')).toBe('backup');
  });

  test('a backup drive that the host needs as well is a system drive', () => {
    const { role, why } = look(
      host({
        drives: [{ ...PHOTOS, parts: [{ on: [{ type: 'ext4' }] }, { on: [{ type: 'ext4' }] }] }],
        host: { fstab },
        storages: [storage],
        mounts: [{ point: '/opt', from: 'sdb2' }],
      }),
    );
    expect(role('sdb')).toBe('system');
    expect(why('sdb')).toContain('backup!: Proxmox keeps backups');
  });

  test('Proxmox’s own "local", on the system’s drive, makes no backup drive of it', () => {
    const { role } = look(host({ drives: [], storages: [{ type: 'dir', id: 'local', path: '/var/lib/vz', content: 'backup' }] }));
    expect(role('sda')).toBe('system');
  });

  test.each(['none', 'failed'] as const)('need not be looked into to be one, nor do their copies (look: %s)', (result) => {
    const parts = [{ on: [{ type: 'ext4', uuid: UUID }] }];
    const { role, why } = look(
      host({
        drives: [PHOTOS, { name: 'sdc', parts }, { name: 'sdd', parts: [...parts, { on: [{ type: 'xfs' }] }] }],
        mounts: [{ point: '/mnt/usb', from: 'sdb1' }],
        storages: [storage],
        looks: { sdb1: result, sdc1: result, sdd1: result, sdd2: result },
      }),
    );
    expect(role('sdb')).toBe('backup');
    expect(why('sdc')).toBe('backup!: It carries the same file system as sdb, which is a backup drive.');
    expect(why('sdd')).toBe('backup!: It carries the same file system as sdb, which is a backup drive.');
  });

  test.each(['/', '/var', '/boot'])(
    'what the host itself has at %s is the system’s, though Proxmox keeps backups there',
    (point) => {
      const path = point === '/' ? '/var/lib/vz' : `${point}/backups`;
      const { role, why } = look({
        drives: [PHOTOS],
        mounts: [{ point, from: 'sdb1' }],
        storages: [{ ...storage, id: 'local', path }],
      });
      expect(role('sdb')).toBe('system');
      expect(why('sdb')).toContain('backup!: Proxmox keeps backups on it (storage "local").');
    },
  );

  test('storages of other machines say nothing of these drives', () => {
    const { role } = look(
      host({
        drives: [PHOTOS],
        mounts: [{ point: '/mnt/pve/nas', from: '', fstype: 'nfs4', source: 'nas:/x' }],
        storages: [
          { type: 'nfs', id: 'nas', path: '/mnt/pve/nas', content: 'images' },
          { type: 'pbs', id: 'pbs', content: 'backup' },
        ],
      }),
    );
    expect(role('sdb')).toBe('user-data');

    // Not mounted, its path lies on the system's drive.
    expect(look(host({ drives: [], storages: [{ type: 'nfs', id: 'nas', path: '/mnt/pve/nas' }] })).why('sda')).not.toContain(
      'nas',
    );
  });
});

describe('what cannot be determined (T5)', () => {
  const SOURCES = ['kernel', 'udev', 'mounts', 'swaps', 'lvm', 'zfs', 'md', 'btrfs', 'host', 'proxmox'] as const;
  test.each(SOURCES)('without a whole answer of %s no drive is anything but system', (source) => {
    const evidence = { ...evidenceOf(host({ drives: [PHOTOS] })), [source]: { known: false, why: 'It did not answer in time.' } };
    const { inventory } = seen(evidence, {
      records: [
        madeRecord({ keys: [`serial:drive/s-sdb/${500e9}`] }),
        madeRecord({ id: 2, keys: [`serial:drive/s-sda/${500e9}`] }),
      ],
    });
    expect(inventory.missing).toHaveLength(1);
    expect(inventory.missing[0]?.why).toBe('It did not answer in time.');
    expect(inventory.drives.map(({ role }) => role)).toEqual(source === 'kernel' ? [] : ['system', 'system']);
    for (const { reasons } of inventory.drives)
      expect(reasons).toContainEqual({
        role: 'system',
        sentence: 'It cannot be determined what it is for. It did not answer in time.',
        lasting: false,
        forGuests: expect.stringContaining('there is no whole answer from'),
      });
    expect(inventory.unplugged).toEqual([]);
  });

  test.each<[string, Partial<HostSpec> & { drive?: Partial<DriveSpec> }, string]>([
    ['not read yet', { probes: { sdb: 'none' } }, 'It has not been looked at yet.'],
    ['asleep', { probes: { sdb: 'none' }, asleep: ['sdb'] }, 'It is asleep and was not looked at.'],
    ['unreadable', { probes: { sdb: 'failed' } }, 'It could not be looked at: blkid: I/O error'],
    ['hanging', { notAnswering: ['sdb'] }, 'It does not answer.'],
    ['new to udev', { unfinished: ['sdb1'] }, 'The host is still finding out what it is (udev: sdb1).'],
    ['not looked into', { looks: { sdb1: 'none' } }, 'Nobody has looked into the file system on sdb1 yet.'],
    [
      'not to be looked into',
      { looks: { sdb1: 'failed' } },
      'The file system on sdb1 could not be looked into: the kernel has no driver for it.',
    ],
    [
      'ambiguous',
      { drive: { on: [{ type: 'ext4' }, { type: 'vfat' }], ambivalent: ['sdb'] } },
      'On sdb several things were found that exclude each other.',
    ],
    [
      'with a foreign signature',
      { drive: { on: [{ type: 'ReFS' }] } },
      'It carries ReFS (sdb), and what that is for cannot be determined.',
    ],
    [
      'with swap space',
      { drive: { on: [{ type: 'swap' }] } },
      'It carries swap space (sdb), and what that is for cannot be determined.',
    ],
    [
      'with a table of the old kind, without partitions',
      { drive: { parts: [], table: 'dos' } },
      'It has a partition table without partitions, or something that looks like one.',
    ],
    [
      'with partitions that the kernel does not show',
      { drive: { declared: 2 } },
      'It has partitions that the host does not see.',
    ],
    [
      'with none of its partitions shown',
      { drive: { parts: [], table: 'gpt', declared: 1 } },
      'It has partitions that the host does not see.',
    ],
    ['without a medium', { drive: { gb: 0 } }, 'It does not tell its size.'],
    ['with a table that cannot be read', { drive: { declared: null } }, 'Its partition table cannot be read.'],
    [
      'with the front part of a table only',
      { drive: { parts: [], table: 'PMBR' } },
      'Its partition table cannot be read; it may have been written in an enclosure that counts in other blocks.',
    ],
    [
      'with partitions but without a table',
      { drive: { parts: [{ on: [{ type: 'ext4' }] }], table: '' } },
      'It has partitions, but no partition table was found.',
    ],
    ['about which blkid complained', { drive: { parts: [], clean: false } }, 'What is on it could not be told.'],
    [
      'made for ZFS, of which nothing is left',
      { drive: { parts: [{ type: '6A898CC3-1DD2-11B2-99A6-080020736631' }] } },
      'Its partition sdb1 was made for ZFS, but nothing of it can be read.',
    ],
  ])('a drive that is %s is system, and that is not remembered', (_what, { drive, ...spec }, sentence) => {
    const { role, drive: found } = look(host({ drives: [{ ...PHOTOS, ...drive }], ...spec }));
    expect(found('sdb').reasons).toEqual([expect.objectContaining({ role: 'system', sentence, lasting: false })]);
    expect(role('sda')).toBe('system');
  });

  test.each([
    'LVM2_member',
    'linux_raid_member',
    'zfs_member',
    'bcache',
    'drbd',
    'ceph_bluestore',
    'ddf_raid_member',
    'isw_raid_member',
    'mpath_member',
  ])('%s is never a customer’s, in use or not', (type) => {
    expect(look(host({ drives: [{ name: 'sdb', parts: [{ on: [{ type }] }] }] })).role('sdb')).toBe('system');
  });

  test.each(['ext2', 'ext3', 'ext4', 'xfs', 'btrfs', 'exfat', 'vfat', 'ntfs', 'crypto_LUKS'])('%s may be', (type) => {
    expect(look(host({ drives: [{ name: 'sdb', parts: [{ on: [{ type }] }] }] })).role('sdb')).toBe('user-data');
  });

  test('an empty table of the new kind may be, and is no proof that there is nothing behind it', () => {
    const { drive } = look(host({ drives: [{ name: 'sdb', parts: [], table: 'gpt' }] }), {
      blank: new Map([['sdb', { state: 'proved' }]]),
    });
    expect([drive('sdb').role, drive('sdb').dataBearing]).toEqual(['user-data', true]);
  });

  test('a file system’s boot sector is no partition table', () => {
    expect(look(host({ drives: [{ name: 'sdb', on: [{ type: 'exfat' }, { type: 'dos' }] }] })).role('sdb')).toBe('user-data');
  });
});

describe('which devices are drives', () => {
  test('layers, optical drives and other loops are not listed; virtual disks are, as system', () => {
    const layers = ['dm-1', 'md0', 'zd16', 'nbd0', 'sr0', 'ram0', 'zram0', 'mmcblk0boot0', 'nvme0c0n1'].map((name) => ({ name }));
    const { inventory, why } = look({
      drives: ['vda', 'xvdb', 'nvme0n1', 'mmcblk0', 'sdaa', 'sdc'].map((name) => ({ name })),
      layers: [...layers, { name: 'loop7', backingFile: '/tmp/other.img' }],
    });
    expect(inventory.drives.map(({ name }) => name)).toEqual(['mmcblk0', 'nvme0n1', 'sdaa', 'sdc', 'vda', 'xvdb']);
    expect(why('vda')).toBe('system: It is a virtual disk of the machine that the host itself runs on.');
  });

  test('a loop device is a drive where its file is named in disks.loop_drives', () => {
    const drives = [{ name: 'loop4', backingFile: '/tmp/lab/photos.img' }];
    expect(look({ drives }).inventory.drives).toEqual([]);
    expect(look({ drives }, { loopDrives: ['/tmp/lab/photos.img'] }).role('loop4')).toBe('user-data');
  });

  test('a drive of another machine is system', () => {
    expect(look(host({ drives: [{ name: 'sdb', transport: 'network' }] })).why('sdb')).toBe(
      'system: It is a disk of another machine, reached over a network.',
    );
  });
});
