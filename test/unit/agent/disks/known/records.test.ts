/** What is remembered of drives, over a real database that is closed and opened again. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Assignment } from '#agent/disks/inventory/assignment';
import type { Drive, DriveRecord } from '#agent/disks/inventory/drive';
import { loadRecords, type Records } from '#agent/disks/known/records';
import { openStore, type Statement, type Store } from '#agent/ports/store';
import { fakeClock } from '../../fake-clock.ts';
import { because, madeDrive, madeInventory } from '../made.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

let dir: string;
let store: Store;
let records: Records;
let writes: Statement[][];
let clock: ReturnType<typeof fakeClock>;

const open = async () => {
  store = await openStore(join(dir, 'felhom.db'));
  writes = [];
  const watched: Pick<Store, 'all' | 'write'> = {
    all: store.all,
    write: (...statements) => {
      writes.push(statements);
      return store.write(...statements);
    },
  };
  records = await loadRecords({ store: watched, clock: clock.clock });
  writes.length = 0;
};

const reopen = async () => {
  await store.close();
  await open();
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-records-'));
  clock = fakeClock(1_700_000_000_000);
  await open();
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});

const see = (...drives: Drive[]) => records.note(madeInventory({ drives }));
const only = (): DriveRecord => {
  const [record, ...more] = records.drives();
  if (record === undefined || more.length > 0) throw new Error(`there are ${records.drives().length} records`);
  return record;
};
/** The drive, as the next inventory shows it. */
const again = (drive: Drive, record = only()): Drive => ({ ...drive, record });

const ASSIGNMENT: Assignment = {
  mountPoint: '/mnt/felhom/photos',
  vmid: 101,
  drive: 1,
  uuid: '0b5f7c2e-8b1d-4f0e-9f0a-2c1d3e4f5a6b',
  fstype: 'ext4',
  options: 'nosuid,nodev,errors=remount-ro',
  link: 'photos',
  match: { serial: 'S1', wwn: '', sizeBytes: 5 },
  state: 'assigning',
  createdAt: 5,
};

test('a drive that was seen is known after a restart, with every key and its role', async () => {
  const reasons = [because('backup', 'It holds the storage "usb".', true), because('user-data')];
  await see(madeDrive({ identity: { keys: ['wwn:0x5', 'fs:abc'] }, role: 'backup', reasons }));
  const before = only();
  await reopen();
  expect(only()).toEqual({ ...before, keys: ['fs:abc', 'wwn:0x5'] });
  expect(only()).toMatchObject({
    role: { role: 'backup', why: 'It holds the storage "usb".', since: 1_700_000_000_000 },
    owner: null,
    firstSeenAt: 1_700_000_000_000,
  });
});

test('what is not new is not written, but once an hour that the drive was there', async () => {
  await see(madeDrive());
  writes.length = 0;
  await clock.advance(HOUR_MS - 1);
  await see(again(madeDrive()));
  expect(writes).toEqual([]);
  await clock.advance(1);
  await see(again(madeDrive()));
  expect(writes).toHaveLength(1);
  expect(only().lastSeenAt).toBe(1_700_000_000_000 + HOUR_MS);
});

test('keys only grow, and a source that is silent takes nothing away', async () => {
  await see(madeDrive({ identity: { keys: ['wwn:0x5', 'fs:abc'], wwn: '0x5' } }));
  await see(again(madeDrive({ name: 'sdc', identity: { keys: ['wwn:0x5', 'fs:new'], serial: '', model: '', sizeBytes: null } })));
  expect(only()).toMatchObject({ name: 'sdc', serial: 'S1', wwn: '0x5', keys: ['wwn:0x5', 'fs:abc', 'fs:new'] });
});

describe('a role that was seen', () => {
  const backup = madeDrive({ role: 'backup', reasons: [because('backup', 'first', true)] });
  const system = madeDrive({ role: 'system', reasons: [because('system', 'guess', false), because('system', 'seen', true)] });

  test.each([
    ['what is not lasting', madeDrive({ role: 'system', reasons: [because('system', 'cannot determine: lvm', false)] })],
    ['a plain drive', madeDrive({ reasons: [because('user-data', 'plain', true)] })],
  ])('%s is not remembered', async (_what, drive) => {
    await see(drive);
    expect(only().role).toBeNull();
  });

  test('grows from backup to system, never the other way, and keeps its first words', async () => {
    await see(backup);
    await see(again({ ...backup, reasons: [because('backup', 'second', true)] }));
    expect(only().role?.why).toBe('first');
    await see(again(system));
    expect(only().role).toMatchObject({ role: 'system', why: 'seen' });
    await see(again(backup));
    expect(only().role?.role).toBe('system');
    await see(again(madeDrive()));
    expect(only().role?.role).toBe('system');
  });

  test('is forgotten when root demotes, audited, and an older look does not bring it back', async () => {
    await see(backup);
    const looked = again(backup);
    await records.demote(only().id);
    await see(looked);
    expect(only().role).toBeNull();
    // A look after it does: it is what the drive is used for.
    await see(again(backup));
    expect(only().role?.role).toBe('backup');
    expect(await store.all('SELECT who, what FROM audit')).toEqual([{ who: 'root', what: 'drive-demoted' }]);
  });
});

describe('what gets no record of its own', () => {
  test('a drive that could never be recognised', async () => {
    await see(madeDrive({ identity: { keys: [] } }));
    expect(records.drives()).toEqual([]);
  });

  test('any drive while a source is missing; yet a role is remembered then', async () => {
    const missing = [{ source: 'lvm', why: 'pvs hung' }];
    const drive = madeDrive({ reasons: [because('system', 'It holds /.', true)], role: 'system' });
    await records.note(madeInventory({ drives: [drive], missing }));
    expect(records.drives()).toEqual([]);
    await see(madeDrive());
    await records.note(madeInventory({ drives: [again(drive)], missing }));
    expect(only().role?.role).toBe('system');
  });

  test('the second path to a drive, and a drive that nothing tells from a known one', async () => {
    await see(
      madeDrive({ identity: { keys: ['wwn:0x5'] } }),
      madeDrive({ name: 'sdc', identity: { keys: ['wwn:0x5', 'fs:a'] } }),
    );
    expect(only().keys).toEqual(['wwn:0x5', 'fs:a']);
    writes.length = 0;
    await see(madeDrive({ name: 'sdd', identity: { keys: ['fs:a'] } }));
    expect(only().name).toBe('sdc');
    expect(writes).toEqual([]);
  });

  test('a clone does: its hardware is another', async () => {
    await see(madeDrive({ identity: { keys: ['serial:a', 'fs:a'] } }));
    await see(
      again(madeDrive({ identity: { keys: ['serial:a', 'fs:a'] } })),
      madeDrive({ name: 'sdc', identity: { keys: ['serial:b', 'fs:a'] } }),
    );
    expect(records.drives().map(({ keys }) => keys)).toEqual([
      ['serial:a', 'fs:a'],
      ['serial:b', 'fs:a'],
    ]);
  });
});

test('a drive on which another UUID is written all the time is remembered by so many, and no more', async () => {
  const keys = Array.from({ length: 1_500 }, (_one, index) => `fs:${index}`);
  await see(madeDrive({ identity: { keys: ['serial:a', ...keys.slice(0, 900)] } }));
  await see(again(madeDrive({ identity: { keys: ['serial:a', ...keys] } })));
  expect(only().keys).toEqual(['serial:a', ...keys.slice(0, 999)]);
  writes.length = 0;
  await see(again(madeDrive({ identity: { keys: ['serial:a', ...keys.slice(1_200)] } })));
  expect(writes).toEqual([]);
});

test('owners come and go, durably and audited', async () => {
  await see(madeDrive());
  const owner = { vmid: 101, instance: 'uuid-1', since: 9 };
  await records.setOwner(1, owner, 'guest 101');
  await reopen();
  expect(only().owner).toEqual(owner);
  await records.setOwner(1, null, 'root');
  await reopen();
  expect(only().owner).toBeNull();
  expect(await store.all("SELECT who, what, json_extract(details, '$.vmid') AS vmid FROM audit")).toEqual([
    { who: 'guest 101', what: 'drive-taken', vmid: 101 },
    { who: 'root', what: 'drive-released', vmid: 101 },
  ]);
});

test('assignments and readings of health are as they were left', async () => {
  await see(madeDrive());
  await records.saveAssignment(ASSIGNMENT);
  await records.setAssignmentState(ASSIGNMENT.mountPoint, 'assigned');
  await records.saveSmart(1, '{"health":"PASSED"}');
  await reopen();
  expect(records.assignments()).toEqual([{ ...ASSIGNMENT, state: 'assigned' }]);
  expect(only().keys).toContain(`taken:${ASSIGNMENT.uuid.toLowerCase()}`);
  expect([...records.smart()]).toEqual([[1, '{"health":"PASSED"}']]);
  await records.removeAssignment(ASSIGNMENT.mountPoint);
  await reopen();
  expect(records.assignments()).toEqual([]);
  await expect(records.setAssignmentState(ASSIGNMENT.mountPoint, 'assigned')).rejects.toThrow(/no assignment/);
});

test('what could not be made durable was not changed', async () => {
  await see(madeDrive());
  await store.close();
  await expect(records.setOwner(1, { vmid: 101, instance: 'x', since: 1 }, 'guest 101')).rejects.toThrow(/closed/);
  await expect(records.saveAssignment(ASSIGNMENT)).rejects.toThrow(/closed/);
  await expect(see(madeDrive({ name: 'sdd', identity: { keys: ['wwn:0x9'] } }))).rejects.toThrow(/closed/);
  expect([only().owner, records.assignments()]).toEqual([null, []]);
  await open();
});

test('a stick that was seen once is forgotten after more than a year; whoever matters is not', async () => {
  const named = (serial: string, more: object = {}) =>
    madeDrive({ name: serial, identity: { serial, keys: [`serial:${serial}`] }, ...more });
  await see(named('stick'), named('backup', { reasons: [because('backup', 'seen', true)] }), named('owned'), named('assigned'));
  await records.setOwner(3, { vmid: 101, instance: 'x', since: 1 }, 'guest 101');
  await records.saveAssignment({ ...ASSIGNMENT, drive: 4 });
  await clock.advance(400 * DAY_MS);
  await reopen();
  expect(records.drives()).toHaveLength(4);
  await clock.advance(1);
  await reopen();
  expect(records.drives().map(({ name }) => name)).toEqual(['backup', 'owned', 'assigned']);
});

describe('after a format', () => {
  const OWNER = { vmid: 101, instance: 'net:a', since: 5 };
  const HARD = 'serial:Drive/S1/500000000000';
  const backup = madeDrive({
    identity: { keys: [HARD, 'table:t', 'fs:old'] },
    role: 'backup',
    reasons: [because('backup', 'Archives.', true)],
  });

  test('the drive begins anew as its owner’s, and what was on it stays what it was, for copies of it', async () => {
    await see(backup);
    await records.saveSmart(1, '{"hours":7}');
    const { keys } = only();
    // Seen while it was being formatted.
    await see(again({ ...backup, identity: { ...backup.identity, keys: [HARD, 'table:new'] } }));
    await records.reborn(1, { owner: OWNER, keysBefore: keys, keysNow: ['fs:new', 'taken:new'] }, [
      { sql: "INSERT INTO audit (at, who, what, details) VALUES (1, 'agent', 'along', '')" },
    ]);
    const check = (): void => {
      const [former, drive] = records.drives();
      expect(former).toMatchObject({ id: 1, name: 'before-1', serial: '', role: { role: 'backup' }, owner: null });
      expect([...(former?.keys ?? [])].sort()).toEqual(['fs:old', 'table:t']);
      expect(drive).toMatchObject({ id: 2, name: 'sdb', serial: 'S1', role: null, owner: OWNER });
      expect([...(drive?.keys ?? [])].sort()).toEqual(['fs:new', HARD, 'table:new', 'taken:new'].sort());
      expect([...records.smart()]).toEqual([[2, '{"hours":7}']]);
    };
    check();
    await reopen();
    check();
    expect(await store.all("SELECT 1 FROM audit WHERE what IN ('along', 'drive-formatted')")).toHaveLength(2);
  });

  test('a look from before it does not make it again what it was', async () => {
    await see(backup);
    const stale = again(backup);
    await records.reborn(1, { owner: OWNER, keysBefore: only().keys, keysNow: ['fs:new'] }, []);
    await see(stale);
    const [former, drive] = records.drives();
    expect([former?.keys.includes(HARD), former?.name, drive?.role]).toEqual([false, 'before-1', null]);
  });

  test('formats of one drive again and again leave no more than so many records', async () => {
    await see(madeDrive({ identity: { keys: [HARD, 'fs:0'] } }));
    for (let each = 1; each <= 70; each += 1) {
      const id = Math.max(...records.drives().map((one) => one.id));
      const { keys = [] } = records.drives().find((one) => one.id === id) ?? {};
      await records.reborn(id, { owner: OWNER, keysBefore: keys, keysNow: [`fs:${each}`] }, []);
    }
    // One of them was nobody’s.
    expect(records.drives().length).toBeLessThanOrEqual(67);
    const before = records.drives().map(({ id }) => id);
    await reopen();
    expect(records.drives().map(({ id }) => id)).toEqual(before);
    expect([...(records.drives().at(-1)?.keys ?? [])].sort()).toEqual(['fs:70', HARD]);
  });

  test('nor do they make a copy of what was another guest’s nobody’s', async () => {
    const other = { ...OWNER, vmid: 102 };
    await see(madeDrive({ identity: { keys: ['serial:Other/S2/1', 'fs:other'] } }));
    await records.reborn(1, { owner: other, keysBefore: only().keys, keysNow: ['fs:first'] }, []);
    await records.reborn(2, { owner: other, keysBefore: ['fs:first'], keysNow: ['fs:second'] }, []);
    await see(madeDrive({ name: 'sdc', identity: { keys: [HARD, 'fs:0'] } }));
    for (let each = 1, id = 4; each <= 70; each += 1, id += 1)
      await records.reborn(id, { owner: OWNER, keysBefore: [`fs:${each - 1}`], keysNow: [`fs:${each}`] }, []);
    await reopen();
    expect(records.drives().find(({ keys }) => keys.includes('fs:first'))).toMatchObject({ name: 'before-2', owner: other });
  });

  test('T32: the clock jumps ahead while nobody follows it: its drive is not forgotten before its end is on record', async () => {
    await see(madeDrive({ identity: { keys: [HARD] } }));
    await store.write({
      sql: `INSERT INTO formats (job_id, vmid, drive, device, model, serial, fstype, permitted_by, asked_id, bound_id, identity, owner, boot_id,
        state, phase, started_at) VALUES ('fmt-1', 101, 1, 'sdb', '', '', 'ext4', 'blank', '', '', '{}', '{}', 'b', 'running', 'holding', 0)`,
    });
    await clock.advance(401 * 86_400_000);
    await reopen();
    await records.reborn(1, { owner: OWNER, keysBefore: [HARD], keysNow: ['fs:new'] }, []);
    expect(only()).toMatchObject({ keys: [HARD, 'fs:new'], owner: OWNER });
  });

  test('of a drive on which nothing was, there is nothing to keep', async () => {
    await see(madeDrive({ identity: { keys: [HARD] } }));
    await records.reborn(1, { owner: OWNER, keysBefore: [HARD], keysNow: ['fs:new'] }, []);
    expect(only()).toMatchObject({ id: 1, keys: [HARD, 'fs:new'], owner: OWNER, role: null });
    await reopen();
    expect(only()).toMatchObject({ id: 1, owner: OWNER });
  });

  test('what cannot be written has not happened', async () => {
    await see(backup);
    const failing = [{ sql: 'INSERT INTO nowhere VALUES (1)' }];
    await expect(records.reborn(1, { owner: OWNER, keysBefore: only().keys, keysNow: [] }, failing)).rejects.toThrow();
    await expect(records.remember(1, { role: 'system', why: 'x' }, failing)).rejects.toThrow();
    expect(only()).toMatchObject({ id: 1, role: { role: 'backup' }, owner: null });
  });

  test('a role is given to what had none, and to nothing else', async () => {
    await see(madeDrive({ identity: { keys: [HARD] } }));
    await records.remember(1, { role: 'system', why: 'It was.' }, []);
    await records.remember(1, { role: 'backup', why: 'Later.' }, []);
    await records.remember(1, null, []);
    await reopen();
    expect(only().role).toMatchObject({ role: 'system', why: 'It was.' });
  });
});
