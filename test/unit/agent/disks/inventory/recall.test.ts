/** What was known of drives before: remembered roles, replugging, other enclosures, copies; and what root orders (hazards 3, 36; T4). */
import { describe, expect, test } from 'vitest';
import type { DriveRecord } from '#agent/disks/inventory/drive';
import { type DriveSpec, host, look, uuidOf } from '../host.ts';
import { madeRecord } from '../made.ts';

const HARDWARE = `serial:drive/s-sdb/${500e9}`;
const CONTENT = `fs:${uuidOf('sdb1')}`;
const BACKUP = { role: 'backup', why: 'Proxmox keeps backups on it (storage "usb").', since: 1 } as const;
const SYSTEM = { role: 'system', why: 'The host itself runs from it.', since: 1 } as const;
const OWNER = { vmid: 101, instance: 'i', since: 1 };

const record = (facts: Partial<DriveRecord>): DriveRecord => madeRecord({ keys: [HARDWARE, CONTENT], role: null, ...facts });
const see = (drives: DriveSpec[], records: DriveRecord[], more = {}) => look(host({ drives, ...more }), { records });

describe('a role that is remembered', () => {
  test('stays with the drive, whatever is on it now', () => {
    const { why, drive } = see([{ name: 'sdb', parts: [] }], [record({ role: BACKUP })]);
    expect(why('sdb')).toBe('backup: It was known as a backup drive before: Proxmox keeps backups on it (storage "usb").');
    expect(drive('sdb').record?.id).toBe(1);
  });

  test('stays with it at another port, under another name', () => {
    const { role, drive } = see(
      [{ name: 'sdq', serial: 'S-sdb', pci: ['0000:00:14.0'], usb: { port: '2-3' } }],
      [record({ role: BACKUP })],
    );
    expect([role('sdq'), drive('sdq').record?.id]).toEqual(['backup', 1]);
  });

  test('stays with what is on it, in another enclosure', () => {
    const { role, drive } = see(
      [{ name: 'sdq', parts: [{ on: [{ type: 'ext4', uuid: uuidOf('sdb1') }] }] }],
      [record({ role: BACKUP })],
    );
    expect([role('sdq'), drive('sdq').record?.id, drive('sdq').related]).toEqual(['backup', 1, []]);
  });

  test.each(['table', 'part', 'luks', 'pool', 'btrfs', 'md', 'pv'])('is found by %s too', (kind) => {
    const types: Record<string, string> = {
      luks: 'crypto_LUKS',
      pool: 'zfs_member',
      btrfs: 'btrfs',
      md: 'linux_raid_member',
      pv: 'LVM2_member',
    };
    const type = types[kind];
    const drive: DriveSpec = {
      name: 'sdb',
      tableUuid: kind === 'table' ? 'aa11' : 't',
      parts: [{ uuid: kind === 'part' ? 'aa11' : 'p', on: type ? [{ type, uuid: 'aa11' }] : [] }],
    };
    const { why } = see([drive], [record({ keys: [`${kind}:aa11`], role: BACKUP })]);
    expect(why('sdb')).toContain('backup: It was known as a backup drive before');
  });

  test('the highest of all that share something counts', () => {
    const { role, why } = see(
      [{ name: 'sdb' }],
      [record({ keys: [HARDWARE], role: BACKUP }), record({ id: 2, keys: [CONTENT], role: SYSTEM })],
    );
    expect(role('sdb')).toBe('system');
    expect(why('sdb')).toContain(
      'system: It carries the same as a drive that was known as a system drive before: The host itself runs from it.',
    );
  });

  test('is not overlooked while the drive sleeps, since udev knows what is on it', () => {
    const { why } = see(
      [{ name: 'sdq', parts: [{ on: [{ type: 'ext4', uuid: uuidOf('sdb1') }] }] }],
      [record({ role: BACKUP })],
      { probes: { sdq: 'none' }, asleep: ['sdq'] },
    );
    expect(why('sdq')).toContain('It was known as a backup drive before');
  });
});

describe('what a drive carried before', () => {
  const used = { mounts: [{ point: '/srv', from: 'sdb1' }] };
  const before = record({ keys: [HARDWARE, 'fs:before'], role: SYSTEM });
  const copy: DriveSpec = { name: 'sdc', parts: [{ on: [{ type: 'ext4', uuid: 'before' }] }] };

  test('says nothing of a copy that was made then, once the drive was put to another use', () => {
    const { role, drive } = see([{ name: 'sdb' }, copy], [before], used);
    expect([role('sdb'), role('sdc'), drive('sdc').related]).toEqual(['system', 'user-data', []]);
  });

  test('may be on it still while it was not read', () => {
    const { why } = see([{ name: 'sdb', parts: [{}] }, copy], [{ ...before, role: null }], { ...used, probes: { sdb: 'none' } });
    expect(why('sdc')).toBe('system: It carries the same file system as sdb, which is a system drive.');
    const unread = see([{ name: 'sdb', parts: [{}] }, copy], [before], { probes: { sdb: 'none' } });
    expect([unread.role('sdc'), unread.drive('sdc').related.map(({ id }) => id)]).toEqual(['system', [1]]);
  });

  test('may be what is plugged in now while it is away', () => {
    expect(see([copy], [before]).role('sdc')).toBe('system');
  });
});

describe('which record is a drive’s own', () => {
  const copy: DriveSpec = { name: 'sdc', parts: [{ on: [{ type: 'ext4', uuid: uuidOf('sdb1') }] }] };

  test('a copy has one of its own while the original is plugged in', () => {
    const { drive } = see([{ name: 'sdb' }, copy], [record({ owner: OWNER })]);
    expect([drive('sdb').record?.id, drive('sdc').record, drive('sdc').related.map(({ id }) => id)]).toEqual([1, null, [1]]);
  });

  test('of two that could be the one that is away neither is', () => {
    const { drive, inventory } = see([copy, { ...copy, name: 'sdd' }], [record({ owner: OWNER })]);
    expect([drive('sdc').record, drive('sdd').record]).toEqual([null, null]);
    expect(drive('sdd').related.map(({ id }) => id)).toEqual([1]);
    expect(inventory.unplugged.map(({ id }) => id)).toEqual([1]);
  });

  test('of two paths to it both are', () => {
    const { drive } = see(
      [
        { ...copy, wwn: '0x7' },
        { ...copy, name: 'sdd', wwn: '0x7' },
      ],
      [record({})],
    );
    expect([drive('sdc').record?.id, drive('sdd').record?.id]).toEqual([1, 1]);
  });

  test('a WWN says more than a serial, hardware more than content', () => {
    const records = [
      record({ id: 1, keys: [CONTENT] }),
      record({ id: 2, keys: [HARDWARE] }),
      record({ id: 3, keys: ['wwn:0x7'] }),
    ];
    const { drive } = see([{ name: 'sdb', wwn: '0x7' }], records);
    expect([drive('sdb').record?.id, drive('sdb').related.map(({ id }) => id)]).toEqual([3, [1, 2]]);
  });

  test('records of drives that are away are told', () => {
    const { inventory } = see([{ name: 'sdb' }], [record({}), record({ id: 2, keys: ['wwn:0x9'] })]);
    expect(inventory.unplugged.map(({ id }) => id)).toEqual([2]);
  });

  test('a drive in a guest’s hands is no relative, whatever that guest wrote on it', () => {
    const given = record({ id: 2, keys: [`serial:drive/s-sdc/${500e9}`, CONTENT], role: SYSTEM, owner: { ...OWNER, vmid: 105 } });
    const { drive, role } = see([{ name: 'sdb' }, copy], [record({ owner: OWNER }), given], {
      guests: { 105: 'scsi1: /dev/sdc' },
    });
    expect([role('sdb'), drive('sdb').related]).toEqual(['user-data', []]);
  });
});

test('what a guest wrote on a drive that was given to it makes that drive nobody else’s, one without a serial neither', () => {
  const victim = record({ owner: OWNER });
  const forged: DriveSpec = { name: 'sdq', serial: '', model: '', parts: [{ on: [{ type: 'ext4', uuid: uuidOf('sdb1') }] }] };
  const { drive } = see([forged], [victim], { guests: { 105: 'scsi1: /dev/sdq' } });
  expect(drive('sdq').record).toBeNull();
});

describe('a drive that has an owner', () => {
  const TAKEN = `taken:${uuidOf('sdb1')}`;

  test('may hold what a backup drive holds on a file system that its owner took, which need not be looked into', () => {
    const owned = [record({ owner: OWNER, keys: [HARDWARE, CONTENT, TAKEN] })];
    expect(see([{ name: 'sdb' }], owned, { looks: { sdb1: 'vzdump' } }).role('sdb')).toBe('user-data');
    expect(see([{ name: 'sdb' }], owned, { looks: { sdb1: 'none' } }).role('sdb')).toBe('user-data');
  });

  test('is looked into where it carries another file system: another drive may be in the same enclosure', () => {
    const owned = [record({ owner: OWNER, keys: [HARDWARE, CONTENT, 'taken:aa11'] })];
    expect(see([{ name: 'sdb' }], owned, { looks: { sdb1: 'vzdump' } }).why('sdb')).toMatch(/^backup!: There are backups/);
    expect(see([{ name: 'sdb' }], owned, { looks: { sdb1: 'none' } }).role('sdb')).toBe('system');
    expect(see([{ name: 'sdb' }], owned).role('sdb')).toBe('user-data');
  });

  test('is looked into when it was released: what was taken then is nobody’s now', () => {
    const released = [record({ keys: [HARDWARE, CONTENT, TAKEN] })];
    expect(see([{ name: 'sdb' }], released, { looks: { sdb1: 'vzdump' } }).role('sdb')).toBe('backup');
  });

  test('but is a backup drive where Proxmox keeps backups on it', () => {
    const more = {
      mounts: [{ point: '/mnt/usb', from: 'sdb1' }],
      storages: [{ type: 'dir', id: 'usb', path: '/mnt/usb', content: 'backup' }],
    };
    expect(see([{ name: 'sdb' }], [record({ owner: OWNER, keys: [HARDWARE, CONTENT, TAKEN] })], more).role('sdb')).toBe('backup');
  });

  test('that its copy’s owner owns nothing of its own: a copy is looked into', () => {
    const copy: DriveSpec = { name: 'sdc', parts: [{ on: [{ type: 'ext4', uuid: uuidOf('sdb1') }] }] };
    expect(see([{ name: 'sdb' }, copy], [record({ owner: OWNER })], { looks: { sdc1: 'vzdump' } }).role('sdc')).toBe('backup');
  });
});

describe('disks.protect', () => {
  const drive: DriveSpec = { name: 'sdb', serial: 'WD-AB 12', wwn: '0x5000c500a1b2c3d4' };
  test.each(['serial:WD-AB 12', 'serial:wd-ab_12', 'wwn:0x5000c500a1b2c3d4', 'wwn:5000C500A1B2C3D4', 'wwn:naa.5000c500a1b2c3d4'])(
    '%s',
    (entry) => {
      const { drive: found, inventory } = look(host({ drives: [drive] }), { protect: [entry] });
      expect(found('sdb').reasons).toEqual([
        {
          role: 'system',
          sentence: `The host's operator has set it aside (${entry} in disks.protect).`,
          lasting: false,
          setAside: entry,
        },
      ]);
      expect(inventory.unmatchedProtect).toEqual([]);
    },
  );

  test('an entry that matches no drive, plugged in or ever seen, is told', () => {
    const records = [record({ serial: 'AWAY1', keys: ['wwn:0x9'] })];
    const { inventory, role } = look(host({ drives: [drive] }), {
      protect: ['serial:WD-AB', 'wwn:0x9', 'serial:away1', 'serial:'],
      records,
    });
    expect(inventory.unmatchedProtect).toEqual(['serial:WD-AB', 'serial:']);
    expect(role('sdb')).toBe('user-data');
  });

  test('while the kernel tells no drives, no entry is said to match none', () => {
    const spec = host({ drives: [drive] });
    expect(look(spec, { protect: ['serial:x'] }).inventory.unmatchedProtect).toEqual(['serial:x']);
  });
});
