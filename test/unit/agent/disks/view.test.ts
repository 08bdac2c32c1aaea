/** What one guest sees of the drives, and above all what it does not. */
import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';
import type { Assignment } from '#agent/disks/inventory/assignment';
import type { Drive, DriveFilesystem } from '#agent/disks/inventory/drive';
import { type ListingFacts, listingOf } from '#agent/disks/view';
import { Disk } from '#shared/wire/disks';
import { because, madeDrive, madeFilesystem, madeInventory, madeRecord } from './made.ts';

const UUID = '0b5f7c2e-8b1d-4f0e-9f0a-2c1d3e4f5a6b';
const A = { vmid: 101, instance: 'a', since: 1 };
const B = { vmid: 102, instance: 'b', since: 1 };

const facts = (more: Partial<ListingFacts> = {}): ListingFacts => ({
  vmid: 101,
  inventory: madeInventory(),
  assignments: [],
  mounted: new Map(),
  claims: {
    guests: [101],
    enrolled: [101, 102],
    instances: new Map([
      [101, 'a'],
      [102, 'b'],
    ]),
  },
  filesystems: ['ext4', 'xfs', 'btrfs', 'exfat'],
  writesOff: '',
  classOf: () => 'fast',
  healthOf: () => ({ health: 'PASSED', temperature_c: 30, percentage_used: 1, age_seconds: 5, reasons: [] }),
  ...more,
});

const list = (drives: Drive[], more: Partial<ListingFacts> = {}) => {
  const { disks, reason } = listingOf(facts({ inventory: madeInventory({ drives }), ...more }));
  for (const disk of disks) expect(Value.Errors(Disk, disk)).toEqual([]);
  return { disks, reason };
};
const one = (drive: Drive, more: Partial<ListingFacts> = {}) => {
  const { disks } = list([drive], more);
  expect(disks).toHaveLength(1);
  return disks[0];
};

const photos = madeDrive({ filesystems: [madeFilesystem()], record: madeRecord() });
const ownedBy = (owner: typeof A, more: Partial<Drive> = {}): Drive => ({ ...photos, record: madeRecord({ owner }), ...more });

const ASSIGNMENT: Assignment = {
  ...{ mountPoint: '/mnt/felhom/photos', vmid: 101, drive: 1, uuid: UUID, fstype: 'ext4', options: '', link: 'x' },
  ...{ match: { serial: '', wwn: '', sizeBytes: null }, state: 'assigned', createdAt: 1 },
};

test('a free drive with one file system: what it takes to assign it', () => {
  expect(one(photos)).toEqual({
    ...{
      name: 'sdb',
      type: 'disk',
      state: 'available',
      backing_device: '/dev/sdb',
      mount_path: '',
      guest_path: '',
      class: 'fast',
    },
    ...{ role: 'user-data', role_reason: 'It is user-data.', data_bearing: true, data_reason: 'It holds a file system.' },
    ...{ total_bytes: 500_000_000_000, used_bytes: null, used_fraction: null, durable_id: `uuid:${UUID}` },
    ...{ model: 'Drive', serial: 'S1', fstype: 'ext4', label: 'photos', owner: 'free', not_assignable: '' },
    smart: { health: 'PASSED', temperature_c: 30, percentage_used: 1, age_seconds: 5, reasons: [] },
  });
});

test('its own, mounted: where, and how full', () => {
  const mounted = new Map([
    [ASSIGNMENT.mountPoint, { guestPath: '/mnt/felhom/photos', filling: { totalBytes: 400, usedBytes: 100 } }],
  ]);
  expect(one(ownedBy(A, { state: 'mounted' }), { assignments: [ASSIGNMENT], mounted })).toMatchObject({
    ...{ state: 'mounted', owner: 'yours', mount_path: '/mnt/felhom/photos', guest_path: '/mnt/felhom/photos' },
    ...{ used_bytes: 100, used_fraction: 0.25, not_assignable: 'It is connected already, as /mnt/felhom/photos.' },
  });
  expect(one(ownedBy(A), { assignments: [ASSIGNMENT] })).toMatchObject({ mount_path: '', used_bytes: null });
});

describe("another guest's drive shows its name and size, and nothing by which it could be called", () => {
  const secrets = ['SECRET-SERIAL', 'SECRET-MODEL', 'secret-label', UUID, 'byid:', 'uuid:', '/dev/', '/mnt/', 'ext4', '102'];
  const identity = { serial: 'SECRET-SERIAL', model: 'SECRET-MODEL' };
  const theirs = madeDrive({
    identity,
    filesystems: [madeFilesystem({ label: 'secret-label' }), madeFilesystem({ device: 'sdb2', uuid: 'AAAA-BBBB' })],
    record: madeRecord({ owner: B }),
    holders: [{ kind: 'mount', sentence: 'It is mounted at /mnt/felhom/secret-label.', vmid: 102, pid: null }],
    dataReason: 'secret-label holds ext4.',
    state: 'mounted',
  });
  const assignments = [{ ...ASSIGNMENT, vmid: 102 }];
  const mounted = new Map([[ASSIGNMENT.mountPoint, { guestPath: '/mnt/felhom/x', filling: { totalBytes: 4, usedBytes: 1 } }]]);

  test.each<[string, Drive, Partial<ListingFacts>]>([
    ['mounted for its owner', theirs, {}],
    [
      "while a source is missing and every drive is the host's",
      { ...theirs, role: 'system', reasons: [because('system', `ext4 ${UUID}`)] },
      {},
    ],
    ['a copy of it', { ...theirs, record: madeRecord({ id: 2 }), related: [madeRecord({ owner: B })] }, {}],
    [
      'one that has two owners on record',
      { ...theirs, record: madeRecord({ owner: A }), related: [madeRecord({ id: 2, owner: B })] },
      {},
    ],
    ['of a former guest 101', { ...theirs, record: madeRecord({ owner: { ...A, instance: 'old' } }) }, {}],
    ['free, and this guest may take none', { ...theirs, record: madeRecord() }, { claims: { ...facts().claims, guests: [102] } }],
    [
      'passed through to another guest',
      { ...theirs, record: null, role: 'system', holders: [{ kind: 'guest', sentence: '102', vmid: 102, pid: null }] },
      {},
    ],
  ])('%s', (_what, drive, more) => {
    const disk = one(drive, { assignments, mounted, ...more });
    expect(disk).toMatchObject({ name: 'sdb', total_bytes: 500_000_000_000, durable_id: '', smart: { health: 'UNKNOWN' } });
    expect(disk?.not_assignable).toMatch(/\w.*\./);
    for (const secret of secrets) expect(JSON.stringify(disk)).not.toContain(secret);
  });
});

test.each(['system', 'backup'] as const)('a %s drive says why, and gives no file system away', (role) => {
  const disk = one({
    ...photos,
    role,
    reasons: [because(role, 'Proxmox keeps archives on it (storage "usb").', true), because('user-data')],
  });
  expect(disk).toMatchObject({
    role,
    role_reason: 'Proxmox keeps archives on it (storage "usb").',
    owner: '',
    label: '',
    fstype: '',
  });
  expect(disk?.durable_id).toMatch(new RegExp(`^byid:${role}\\.Drive\\.S1\\.500000000000\\.`));
  expect(JSON.stringify(disk)).not.toContain(UUID);
});

describe('why it cannot be assigned', () => {
  const fs = (more: Partial<DriveFilesystem>) => ({ ...photos, filesystems: [madeFilesystem(more)] });
  test.each<[string, Drive, Partial<ListingFacts>, RegExp, RegExp]>([
    ['blank', { ...photos, filesystems: [] }, {}, /no file system that felhom can mount/, /^byid:user-data/],
    ['ntfs', fs({ fstype: 'ntfs' }), {}, /holds ntfs, which felhom does not mount/, /^byid:user-data/],
    ['a file system without a UUID', fs({ uuid: '' }), {}, /does not mount/, /^byid:/],
    ['a UUID that is none', fs({ uuid: '../by-label/x' }), {}, /does not mount/, /^byid:/],
    [
      'in use',
      { ...photos, state: 'in-use', holders: [{ kind: 'process', sentence: 'dd has it open.', vmid: null, pid: 7 }] },
      {},
      /^dd has it open\.$/,
      /^uuid:/,
    ],
    ['it does not answer', { ...photos, state: 'not-answering' }, {}, /does not answer/, /^uuid:/],
    ['a twin', { ...photos, twins: ['sdc'] }, {}, /told from sdc/, /^uuid:/],
    ['writes are off', photos, { writesOff: 'The agent does not see /proc/swaps.' }, /does not see/, /^uuid:/],
  ])('%s', (_what, drive, more, why, id) => {
    const disk = one(drive, more);
    expect(disk?.not_assignable).toMatch(why);
    expect(disk?.durable_id).toMatch(id);
  });
});

test('several file systems are entries of their own', () => {
  const two = {
    ...photos,
    filesystems: [
      madeFilesystem(),
      madeFilesystem({ device: 'sdb2', uuid: 'AAAA-BBBB', fstype: 'exfat', label: 'x' }),
      madeFilesystem({ device: 'sdb3', fstype: 'swap' }),
    ],
  };
  const { disks } = list([two]);
  expect(disks.map(({ name, type, durable_id }) => [name, type, durable_id.replace(/\..*/, '')])).toEqual([
    ['sdb', 'disk', 'byid:user-data'],
    ['sdb1', 'part', `uuid:${UUID}`],
    ['sdb2', 'part', 'uuid:AAAA-BBBB'],
  ]);
  expect(disks.map(({ not_assignable }) => not_assignable)).toEqual(['Each of its file systems is listed by itself.', '', '']);
});

test('its own that are not plugged in are shown as such, those of others are not', () => {
  const unplugged = [
    madeRecord({ owner: A }),
    madeRecord({ id: 2, owner: B }),
    madeRecord({ id: 3 }),
    madeRecord({ id: 4, owner: { ...A, instance: 'old' } }),
  ];
  const { disks } = listingOf(facts({ inventory: madeInventory({ unplugged }) }));
  expect(disks).toHaveLength(1);
  expect(Value.Errors(Disk, disks[0])).toEqual([]);
  expect(disks[0]).toMatchObject({
    name: 'sdb',
    state: 'unplugged',
    owner: 'yours',
    durable_id: '',
    not_assignable: 'It is not plugged in now.',
  });
});

test('a missing source is named', () => {
  const { reason } = listingOf(facts({ inventory: madeInventory({ missing: [{ source: 'lvm', why: 'pvs hung' }] }) }));
  expect(reason).toMatch(/\(lvm\).*every drive/);
  expect(list([photos]).reason).toBe('');
});

test('200 drives with all that a hostile drive can write stay within the contract, the own ones first, and what is left out is said', () => {
  const nasty = '漢"\\<'.repeat(32);
  const drives = Array.from({ length: 200 }, (_all, index): Drive => {
    const filesystems = Array.from({ length: 128 }, (_one, part) =>
      madeFilesystem({ device: `sd${index}p${part}`, uuid: `AAAA-${1000 + part}`, label: nasty }),
    );
    return madeDrive({
      name: `sd${index}`,
      identity: { model: nasty, serial: nasty },
      filesystems,
      dataReason: nasty,
      record: madeRecord({ id: index, owner: index > 197 ? A : null }),
    });
  });
  const { disks, reason } = list(drives);
  expect(Buffer.byteLength(JSON.stringify({ ok: true, data: { vmid: 101, disks, reason }, error: '', code: '' }))).toBeLessThan(
    512 * 1024,
  );
  expect(disks.slice(0, 2 * 129).every(({ owner }) => owner === 'yours')).toBe(true);
  expect(reason).toBe(`Only ${disks.length} of ${200 * 129} entries are listed: the answer would be too long.`);
});

test('200 ordinary drives are all listed', () => {
  const drives = Array.from({ length: 200 }, (_all, index) => ({ ...photos, name: `sd${index}` }));
  const { disks, reason } = list(drives);
  expect([disks.length, reason]).toEqual([200, '']);
});
