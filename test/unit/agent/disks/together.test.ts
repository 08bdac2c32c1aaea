/** Drives that belong together: members that are not active, copies, two paths to one drive (hazards 6, 7, 8; T7, T8, T10). */
import { describe, expect, test } from 'vitest';
import { type DriveSpec, host, look, type On, type PartSpec, ROOT } from './host.ts';

const fs = (type: string, uuid: string): PartSpec => ({ on: [{ type, uuid }] });
const btrfs: On = { type: 'btrfs', uuid: '11111111-2222-4333-8444-555555555555' };

describe('members that are not in use', () => {
  test('the second drive of a btrfs mirror that is mounted degraded', () => {
    const { why } = look({
      drives: [
        { name: 'sdb', parts: [{ on: [btrfs] }] },
        { name: 'sdc', parts: [{ on: [btrfs] }] },
      ],
      mounts: [{ point: '/', from: 'sdb1', fstype: 'btrfs', device: '0:30' }],
      btrfs: [['sdb1']],
    });
    expect(why('sdc')).toBe('system!: It is part of the same btrfs as sdb, which is a system drive.');
  });

  test('a copy of the system’s drive, by its table, its partitions and its file systems', () => {
    const copy = { ...ROOT, name: 'sdz' };
    const original = look(host({ drives: [] }));
    const keys = original.drive('sda').identity.keys.filter((key) => /^(table|part|fs):/.test(key));
    expect(keys.length).toBeGreaterThan(3);
    for (const key of keys) {
      const [kind = '', id = ''] = key.split(/:(.*)/s);
      const parts: PartSpec[] =
        kind === 'part' ? [{ uuid: id, on: [{ type: 'ext4' }] }] : [fs('ext4', kind === 'fs' ? id : 'own')];
      const { role, why } = look(host({ drives: [{ ...copy, parts, ...(kind === 'table' ? { tableUuid: id } : {}) }] }));
      expect([key, role('sdz')]).toEqual([key, 'system']);
      expect(why('sdz')).toContain('sda, which is a system drive.');
    }
  });

  test('a failed leg of an array and a volume of a group that is not active', () => {
    const { role } = look(
      host({
        drives: [
          { name: 'sdb', parts: [fs('linux_raid_member', 'a')] },
          { name: 'sdc', parts: [fs('LVM2_member', 'b')] },
          { name: 'sdd', parts: [fs('zfs_member', '123')] },
        ],
      }),
    );
    expect(['sdb', 'sdc', 'sdd'].map(role)).toEqual(['system', 'system', 'system']);
  });

  test('what belongs to a member’s member belongs too; a backup drive passes on that it is one', () => {
    const { role, why } = look(
      host({
        drives: [
          { name: 'sdb', parts: [fs('ext4', 'x'), fs('ext4', 'b')] },
          { name: 'sdc', parts: [fs('ext4', 'x'), fs('ext4', 'y')] },
          { name: 'sdd', parts: [fs('ext4', 'y')] },
          { name: 'sde' },
        ],
        looks: { sdb2: 'vzdump' },
      }),
    );
    expect(['sdb', 'sdc', 'sdd', 'sde'].map(role)).toEqual(['backup', 'backup', 'backup', 'user-data']);
    expect(why('sdd')).toBe('backup!: It carries the same file system as sdc, which is a backup drive.');
  });

  test('a drive of which nothing is certain keeps its copies from being certain', () => {
    const { why } = look(
      host({
        drives: [
          { name: 'sdb', parts: [fs('ext4', 'x')] },
          { name: 'sdc', parts: [fs('ext4', 'x')] },
        ],
        asleep: ['sdb'],
        probes: { sdb: 'none' },
      }),
    );
    expect(why('sdc')).toBe('system: It carries the same file system as sdb, of which it cannot be determined what it is for.');
  });

  test('a copy of a drive that nobody has looked into may hold backups as well', () => {
    const { role, why } = look(
      host({
        drives: [
          { name: 'sdb', parts: [fs('ext4', 'x')] },
          { name: 'sdc', parts: [fs('crypto_LUKS', 'y'), { uuid: 'p' }] },
          { name: 'sdd', parts: [fs('ext4', 'x'), { uuid: 'p' }] },
        ],
        looks: { sdb1: 'none' },
      }),
    );
    expect(['sdb', 'sdc', 'sdd'].map(role)).toEqual(['system', 'system', 'system']);
    expect(why('sdd')).toBe('system: It carries the same file system as sdb, of which it cannot be determined what it is for.');
  });

  test('two copies that nobody uses are both a customer’s', () => {
    const { role } = look(
      host({
        drives: [
          { name: 'sdb', parts: [fs('ext4', 'x')] },
          { name: 'sdc', parts: [fs('ext4', 'x')] },
        ],
      }),
    );
    expect([role('sdb'), role('sdc')]).toEqual(['user-data', 'user-data']);
  });

  test('an identifier of zeros is none', () => {
    const { role } = look(
      host({
        drives: [
          { name: 'sdb', parts: [fs('ext4', '00000000-0000-0000-0000-000000000000')], tableUuid: '00000000' },
          { name: 'sdc', parts: [fs('ext4', '00000000-0000-0000-0000-000000000000')], tableUuid: '00000000' },
        ],
        mounts: [{ point: '/srv', from: 'sdb1' }],
      }),
    );
    expect([role('sdb'), role('sdc')]).toEqual(['system', 'user-data']);
  });
});

describe('what a guest writes on its own disks', () => {
  const mine: DriveSpec = { name: 'sdb', parts: [fs('ext4', 'mine')], tableUuid: 'mine-too' };

  test('takes nothing from the one whose UUID it bears: on a drive that was given to it', () => {
    const { role } = look(
      host({
        drives: [mine, { name: 'sdc', parts: [fs('ext4', 'mine')], tableUuid: 'mine-too' }],
        guests: { 105: 'scsi1: /dev/sdc' },
      }),
    );
    expect([role('sdb'), role('sdc')]).toEqual(['user-data', 'system']);
  });

  test('also where the given drive carries what nobody knows, or was never looked into', () => {
    const given = { name: 'sdc', parts: [fs('ext4', 'mine'), fs('ReFS', 'r')] };
    const { role } = look(host({ drives: [mine, given], guests: { 105: 'scsi1: /dev/sdc' }, looks: { sdc1: 'none' } }));
    expect(role('sdb')).toBe('user-data');
  });

  test('nor on a volume or an image', () => {
    const layers = [{ name: 'dm-4', dm: { name: 'pve-vm--105--disk--0', uuid: 'LVM-y' }, slaves: ['sda3'] }];
    const spec = host({ drives: [mine], layers });
    expect(look(spec).role('sdb')).toBe('user-data');
  });

  test('but the kernel takes two drives with one btrfs for one, and so do we', () => {
    const { role, why } = look(
      host({
        drives: [
          { name: 'sdb', parts: [{ on: [btrfs] }] },
          { name: 'sdc', parts: [{ on: [btrfs] }] },
        ],
        guests: { 105: 'scsi1: /dev/sdc' },
      }),
    );
    expect(role('sdb')).toBe('system');
    expect(why('sdb')).toMatch(/^system: It is part of the same btrfs as sdc/);
  });

  test('what the host itself has on a drive that was given counts', () => {
    const { role } = look(
      host({
        drives: [mine, { name: 'sdc', parts: [fs('ext4', 'mine')] }],
        guests: { 105: 'scsi1: /dev/sdc' },
        mounts: [{ point: '/srv', from: 'sdc1' }],
      }),
    );
    expect(role('sdb')).toBe('system');
  });
});

describe('two paths to one drive', () => {
  const SAME: [string, Partial<DriveSpec>, Partial<DriveSpec>][] = [
    ['an equal WWN', { wwn: '0x5000C500A1B2C3D4' }, { wwn: '0x5000c500a1b2c3d4' }],
    ['equal serial, model and size', { serial: 'X1' }, { serial: 'x1' }],
    ['equal serial and model, as cheap docks have', { serial: '000000000000' }, { serial: '000000000000' }],
  ];
  test.each(SAME)('%s: a use of the one is one of both', (_what, one, other) => {
    const { role, drive } = look(
      host({
        drives: [
          { name: 'sdb', ...one, parts: [fs('ext4', 'a')] },
          { name: 'sdc', ...other, parts: [fs('ext4', 'b')] },
        ],
        mounts: [{ point: '/srv', from: 'sdb1' }],
      }),
    );
    expect([role('sdb'), role('sdc')]).toEqual(['system', 'system']);
    expect([drive('sdb').twins, drive('sdc').twins]).toEqual([['sdc'], ['sdb']]);
    expect(drive('sdc').holders.map(({ sentence }) => sentence)).toEqual(['It is mounted on the host at /srv.']);
  });

  test('a drive that was given to a guest by its other path', () => {
    const { role } = look(
      host({
        drives: [
          { name: 'sdb', wwn: '0x5' },
          { name: 'sdc', wwn: '0x5', pci: ['0000:09:00.0'] },
        ],
        guests: { 105: 'hostpci0: 09:00' },
      }),
    );
    expect(role('sdb')).toBe('system');
  });

  test('two loop devices on one file, of which one is mounted', () => {
    const loop = (name: string): DriveSpec => ({
      name,
      serial: '',
      model: '',
      backingFile: '/lab/photos.img',
      on: [{ type: 'ext4', uuid: 'l' }],
    });
    const { role, drive } = look(
      { drives: [loop('loop4'), loop('loop5')], mounts: [{ point: '/srv', from: 'loop4' }] },
      { loopDrives: ['/lab/photos.img'] },
    );
    expect(role('loop5')).toBe('system');
    expect(drive('loop5').twins).toEqual(['loop4']);
  });

  test('equal drives of another serial or size are two', () => {
    const { drive, role } = look(
      host({
        drives: [
          { name: 'sdb', serial: 'A' },
          { name: 'sdc', serial: 'B' },
          { name: 'sdd', serial: 'A', gb: 1000 },
        ],
        mounts: [{ point: '/srv', from: 'sdb1' }],
      }),
    );
    expect(['sdb', 'sdc', 'sdd'].map((name) => drive(name).twins)).toEqual([[], [], []]);
    expect(['sdb', 'sdc', 'sdd'].map(role)).toEqual(['system', 'user-data', 'user-data']);
  });

  test('a chain of three paths is one drive', () => {
    const { drive } = look(
      host({
        drives: [
          { name: 'sdb', wwn: '0x5', serial: 'A' },
          { name: 'sdc', wwn: '0x5', serial: 'B' },
          { name: 'sdd', wwn: '0x6', serial: 'B' },
        ],
      }),
    );
    expect(drive('sdb').twins).toEqual(['sdc', 'sdd']);
  });

  test('a drive is blank only where its twins are', () => {
    const blank: DriveSpec = { name: 'sdb', serial: 'A', parts: [] };
    const { drive } = look(host({ drives: [blank, { ...blank, name: 'sdc', on: [{ type: 'ext4' }] }] }), {
      blank: new Map([['sdb', { state: 'proved' }]]),
    });
    expect(drive('sdb').dataBearing).toBe(true);
  });
});
