/** The operator's view, and the two decisions that only root takes. */
import { Value } from 'typebox/value';
import { describe, expect, test } from 'vitest';
import { createDiskAdmin, type DiskAdminPorts } from '#agent/disks/admin';
import { listedDurableId } from '#agent/disks/durable-id';
import type { Assignment } from '#agent/disks/inventory/assignment';
import type { Drive, Inventory } from '#agent/disks/inventory/drive';
import { FelhomError } from '#shared/errors';
import { AdminDrives } from '#shared/wire/admin-disks';
import { because, madeDrive, madeEvidence, madeFilesystem, madeInventory, madeRecord } from './made.ts';

const UUID = '0b5f7c2e-8b1d-4f0e-9f0a-2c1d3e4f5a6b';
const A = { vmid: 101, instance: 'a', since: 1_700_000_000_000 };

const ASSIGNMENT: Assignment = {
  ...{ mountPoint: '/mnt/felhom/photos', vmid: 101, drive: 1, uuid: UUID, fstype: 'ext4', options: '', link: 'x' },
  ...{ match: { serial: '', wwn: '', sizeBytes: null }, state: 'assigned', createdAt: 1 },
};

interface World {
  inventory: () => Inventory;
  assignments?: Assignment[];
  more?: Partial<DiskAdminPorts>;
}

const setup = ({ inventory, assignments = [], more = {} }: World) => {
  const did: string[] = [];
  const mounts = assignments.map(({ mountPoint }) => ({
    ...{ pid: 1, host: true },
    mount: {
      id: '1',
      parent: '0',
      device: '8:17',
      root: '/',
      point: mountPoint,
      fstype: 'ext4',
      source: '/dev/sdb1',
      options: [],
    },
  }));
  const udev = { known: true, value: new Map([['sdb', { properties: {}, links: ['/dev/disk/by-id/ata-Drive_S1'] }]]) } as const;
  const evidence = madeEvidence({ udev, mounts: { known: true, value: mounts } });
  const admin = createDiskAdmin({
    current: {
      inventory: async () => ({ inventory: inventory(), ageMs: 2_000 }),
      fresh: async () => inventory(),
      changed: () => void did.push('changed'),
      last: () => ({ inventory: inventory(), evidence }),
    },
    records: {
      assignments: () => assignments,
      drives: () => [],
      setOwner: async (id, owner, who) => void did.push(`owner ${id} ${owner?.vmid ?? 'nobody'} by ${who}`),
      demote: async (id) => void did.push(`demote ${id}`),
    },
    claims: () => ({ guests: null, enrolled: [101], instances: new Map([[101, 'a']]) }),
    classOf: () => 'slow',
    healthOf: () => ({ health: 'PASSED', temperature_c: 30, percentage_used: 1, power_on_hours: 9, standby: false }),
    blankStateOf: () => undefined,
    holders: async () => [{ kind: 'process', sentence: 'dd has it open.', vmid: null, pid: 7 }],
    writesOff: () => '',
    eject: async (vmid, { where }, who) => {
      did.push(`eject ${vmid} ${where} by ${who}`);
      return { vmid, ejected: true, dependent_guests: [] };
    },
    ...more,
  });
  return { admin, did };
};

const drive = (more: Partial<Drive> = {}): Drive =>
  madeDrive({
    ...{ filesystems: [madeFilesystem()], record: madeRecord({ owner: A }), reasons: [because('user-data', 'It is plain.')] },
    ...{ device: { partitions: [{ name: 'sdb1', numbers: '8:17', sizeBytes: 5, startBytes: 1, holders: [] }] } },
    identity: { wwn: '0x5000c500a1b2c3d4' },
    ...more,
  });

const other = (more: Partial<Drive> = {}): Drive =>
  madeDrive({
    name: 'sdc',
    identity: { serial: 'S2', keys: ['serial:S2'] },
    record: madeRecord({ id: 2, serial: 'S2' }),
    ...more,
  });

const refused = async (act: Promise<unknown>): Promise<string> => {
  const error = await act.then(
    () => null,
    (why: unknown) => why,
  );
  expect(error).toBeInstanceOf(FelhomError);
  return `${(error as FelhomError).code}: ${(error as FelhomError).message}`;
};

test('everything that is known is shown, plugged in or not, and fits its contract', async () => {
  const ghost = madeRecord({ id: 3, name: 'sdq', serial: 'OLD', role: { role: 'backup', why: 'It held "usb".', since: 5 } });
  const missing = [{ source: 'lvm', why: 'LVM: its program still hangs.' }];
  const inventory = () => madeInventory({ drives: [drive()], unplugged: [ghost], missing, unmatchedProtect: ['serial:X'] });
  const { admin } = setup({
    inventory,
    assignments: [ASSIGNMENT],
    more: { blankStateOf: () => ({ state: 'reading', readFraction: 0.5 }) },
  });
  const answer = await admin.list();
  expect(Value.Errors(AdminDrives, answer)).toEqual([]);
  expect(answer).toMatchObject({ missing, unmatched_protect: ['serial:X'], writes_off: '', age_seconds: 2 });
  expect(answer.drives[0]).toMatchObject({
    ...{ name: 'sdb', present: true, role: 'user-data', blank_read_fraction: 0.5, links: ['/dev/disk/by-id/ata-Drive_S1'] },
    owner: { vmid: 101, since: '2023-11-14T22:13:20.000Z', suspended: false },
    filesystems: [{ device: 'sdb1', uuid: UUID, mount_path: '/mnt/felhom/photos', vmid: 101 }],
  });
  expect(answer.drives[1]).toMatchObject({ name: 'sdq', present: false, state: 'unplugged', role: 'backup', data_bearing: true });
});

describe('a drive is named by', () => {
  const inventory = () =>
    madeInventory({ drives: [drive(), other()], unplugged: [madeRecord({ id: 3, name: 'sdq', serial: 'OLD' })] });
  test.each([
    ['its kernel name', 'sdb', 'sdb'],
    ['its device file', '/dev/sdb', 'sdb'],
    ['a partition', '/dev/sdb1', 'sdb'],
    ['its serial, in any case', 's1', 'sdb'],
    ['its WWN', '0x5000C500A1B2C3D4', 'sdb'],
    ['its durable id', listedDurableId(drive()), 'sdb'],
    ["its file system's", `uuid:${UUID}`, 'sdb'],
    ['the serial of one that is not there', 'OLD', 'sdq'],
    ['the last name of one that is not there', 'sdq', 'sdq'],
  ])('%s', async (_what, text, name) => {
    expect((await setup({ inventory }).admin.show(text)).drive.name).toBe(name);
  });

  test.each(['', 'sd', 'sdz', 'S', '/dev/../dev/sdb', 'uuid:'])('%j means none', async (text) => {
    expect(await refused(setup({ inventory }).admin.show(text))).toMatch(/^drive-not-found: There is no drive/);
  });

  test('what means two is refused with both', async () => {
    const twins = () => madeInventory({ drives: [drive(), drive({ name: 'sdc' })], unplugged: [madeRecord({ id: 3 })] });
    expect(await refused(setup({ inventory: twins }).admin.show('S1'))).toMatch(
      /^drive-ambiguous: .*sdb, sdc, Drive S1 \(not plugged in/,
    );
  });
});

describe('show', () => {
  const inventory = () => madeInventory({ drives: [drive()] });
  test('names who keeps it in use now', async () => {
    expect((await setup({ inventory }).admin.show('sdb')).drive.holders).toMatchObject([{ kind: 'process', pid: 7 }]);
  });
  test('what could not be found out counts as in use', async () => {
    const { admin } = setup({ inventory, more: { holders: () => Promise.reject(new Error('EIO')) } });
    expect((await admin.show('sdb')).drive.holders).toMatchObject([{ kind: 'unknown' }]);
  });
  test('shows also what is known of a drive while another hangs', async () => {
    const fresh = () => Promise.reject(new FelhomError('drive-not-answering', 'late'));
    const { admin } = setup({ inventory });
    const late = setup({ inventory, more: { current: { ...hung(inventory), fresh } } }).admin;
    expect((await late.show('sdb')).drive.name).toBe((await admin.show('sdb')).drive.name);
  });
});

const hung = (inventory: () => Inventory): DiskAdminPorts['current'] => ({
  inventory: async () => ({ inventory: inventory(), ageMs: 9_000 }),
  fresh: () => new Promise(() => undefined),
  changed: () => undefined,
  last: () => ({ inventory: inventory(), evidence: madeEvidence() }),
});

const role = { role: 'backup', why: 'It held "usb".', since: 5 } as const;

describe('demote', () => {
  test.each<[string, Inventory, string, string[]]>([
    ['a drive', madeInventory({ drives: [drive({ record: madeRecord({ role }) })] }), 'sdb', ['demote 1', 'changed']],
    [
      'one that is not plugged in',
      madeInventory({ unplugged: [madeRecord({ id: 3, name: 'sdq', role })] }),
      'sdq',
      ['demote 3', 'changed'],
    ],
    [
      'a drive in another enclosure',
      madeInventory({ drives: [drive({ related: [madeRecord({ id: 4, role })] })] }),
      'sdb',
      ['demote 4', 'changed'],
    ],
    ['a drive that remembers nothing', madeInventory({ drives: [drive()] }), 'sdb', ['changed']],
    [
      'a copy, not what it was copied from',
      madeInventory({
        drives: [drive({ related: [madeRecord({ id: 2, role })] }), other({ record: madeRecord({ id: 2, role }) })],
      }),
      'sdb',
      ['changed'],
    ],
  ])('%s', async (_what, inventory, text, deeds) => {
    const { admin, did } = setup({ inventory: () => inventory });
    await admin.demote(text);
    expect(did).toEqual(deeds);
  });
});

describe('release', () => {
  const inventory = () => madeInventory({ drives: [drive()] });

  test('takes the drive from its owner', async () => {
    const { admin, did } = setup({ inventory });
    await admin.release('sdb');
    expect(did).toEqual(['owner 1 nobody by root', 'changed']);
  });

  test('is refused while it is connected, naming where', async () => {
    const { admin, did } = setup({ inventory, assignments: [ASSIGNMENT] });
    expect(await refused(admin.release('sdb'))).toMatch(/^drive-in-use: .*\/mnt\/felhom\/photos for guest 101/);
    expect(did).toEqual([]);
  });

  test('also when it was connected in another enclosure', async () => {
    const moved = () =>
      madeInventory({ drives: [drive({ record: madeRecord({ id: 7 }), related: [madeRecord({ owner: A })] })] });
    expect(await refused(setup({ inventory: moved, assignments: [ASSIGNMENT] }).admin.release('sdb'))).toMatch(/^drive-in-use/);
    const { admin, did } = setup({ inventory: moved });
    await admin.release('sdb');
    expect(did).toEqual(['owner 1 nobody by root', 'changed']);
  });

  test('of a copy whose original is plugged in says that this is not all', async () => {
    const original = madeRecord({ id: 2, owner: A });
    const both = () =>
      madeInventory({ drives: [drive({ record: madeRecord(), related: [original] }), other({ record: original })] });
    const { admin, did } = setup({ inventory: both });
    expect(await refused(admin.release('sdb'))).toMatch(/^drive-unknown-owner: .*guest 101/);
    expect(did).toEqual(['changed']);
  });
});

describe('eject', () => {
  const inventory = () => madeInventory({ drives: [drive()] });

  test('by root, for the guest that it is connected for', async () => {
    const { admin, did } = setup({ inventory, assignments: [ASSIGNMENT] });
    expect(await admin.eject('/mnt/felhom/photos')).toMatchObject({ vmid: 101, ejected: true });
    expect(did).toEqual(['eject 101 /mnt/felhom/photos by root', 'changed']);
  });

  test.each(['/', '/mnt/felhom/other', '/mnt/felhom/photos/'])('of %s, where nothing is connected', async (where) => {
    const { admin, did } = setup({ inventory, assignments: [ASSIGNMENT] });
    expect(await refused(admin.eject(where))).toMatch(/^not-assigned/);
    expect(did).toEqual([]);
  });
});
