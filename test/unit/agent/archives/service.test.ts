/** The archives service: the table follows the storage, what is superseded goes, and what lies there is read. */
import { describe, expect, test } from 'vitest';
import { DAY, HOUR, jobId, NOON, refused, setup, volidAt } from './setup.ts';

describe('the list', () => {
  test('joins each archive with its job, by its name or its note', async () => {
    const { archives, world, backup } = await setup();
    const app = backup(NOON - DAY, { label: 'app', source: 'schedule' });
    const noted = backup(NOON - 2 * DAY, {
      label: 'filesystem',
      source: 'guest',
      notes: `before the upgrade, felhom job ${jobId(2)} `,
    });
    const lost = backup(NOON - 3 * DAY, { job: false });
    const foreign = backup(NOON - 4 * DAY, { job: false, notes: 'nightly' });
    world.volumes[1] = { ...noted.volume, volid: volidAt(NOON - 2 * DAY + 5000) };
    const { backups, next, age_seconds } = await archives.list(101, {});
    expect({ next, age_seconds }).toEqual({ next: '', age_seconds: 0 });
    expect(backups.map(({ volid, label, source, verification }) => [volid, label, source, verification])).toEqual([
      [app.volid, 'app', 'schedule', 'pending'],
      [world.volumes[1]?.volid, 'filesystem', 'guest', 'pending'],
      [lost.volid, 'crash', 'unknown', 'pending'],
      [foreign.volid, 'crash', 'unknown', 'pending'],
    ]);
    expect(backups[0]).toMatchObject({ age_seconds: 24 * 3600, size_bytes: 1_000_000, protected: false, proven_at: null });
  });

  test("another host's archive of a guest of the same number is neither counted nor deleted", async () => {
    const { archives, backup, ended, world } = await setup({ retention: { 'keep-last': 1 } });
    const foreign = backup(NOON - 3 * DAY, { job: false, notes: `felhom job ${jobId(99)} host another-1a2b3c` });
    const old = backup(NOON - 2 * DAY, { job: false });
    backup(NOON - DAY, { job: false, notes: `felhom job ${jobId(98)}` });
    backup(NOON);
    await archives.afterBackup(ended());
    expect(world.deleted).toEqual([old.volid]);
    const { archives: all } = await archives.prune(101, { dryRun: true });
    expect(all.find(({ volid }) => volid === foreign.volid)).toMatchObject({ keep: true });
  });

  test("a job's label that is made better later is shown at once", async () => {
    const { archives, backup, run } = await setup();
    const { jobId: id } = backup(NOON - DAY);
    await archives.list(101, {});
    run("UPDATE backup_jobs SET label = 'app' WHERE job_id = ?", id);
    expect((await archives.list(101, {})).backups[0]?.label).toBe('app');
  });

  test('is asked for at most once a minute, and is answered with its age while the storage cannot be listed', async () => {
    const { archives, world, backup, advance, rows } = await setup();
    backup(NOON - DAY);
    await archives.list(101, {});
    await archives.list(101, {});
    expect(world.listings).toBe(1);
    world.listing = refused(596);
    world.volumes = [];
    await advance(61_000);
    expect(await archives.list(101, {})).toMatchObject({ backups: [{ source: 'schedule' }], age_seconds: 61 });
    world.listing = refused(403);
    await advance(61_000);
    expect(await archives.list(101, {})).toMatchObject({ backups: [{}], age_seconds: 122 });
    expect(rows()).toHaveLength(1);
    world.listing = null;
    await advance(61_000);
    expect(await archives.list(101, {})).toMatchObject({ backups: [], age_seconds: 0 });
    expect(rows()).toEqual([]);
  });

  test('without ever having been known it is an error, in words for customers', async () => {
    const { archives, world } = await setup();
    world.listing = refused(403);
    await expect(archives.list(101, {})).rejects.toMatchObject({ code: 'proxmox-permission' });
  });

  test('comes in pages', async () => {
    const { archives, backup } = await setup();
    const all = Array.from({ length: 7 }, (_, day) => backup(NOON - day * DAY).volid);
    const seen: string[] = [];
    for (let after: string | undefined; after !== ''; ) {
      const page = await archives.list(101, { limit: '3', ...(after === undefined ? {} : { after }) });
      seen.push(...page.backups.map(({ volid }) => volid));
      after = page.next;
    }
    expect(seen).toEqual(all);
  });

  test("another guest's archives are none of its", async () => {
    const { archives, backup } = await setup();
    backup(NOON, { vmid: 102 });
    expect((await archives.list(101, {})).backups).toEqual([]);
    expect((await archives.list(102, {})).backups).toHaveLength(1);
  });

  test('archives on a storage that was used before are shown while they can be listed', async () => {
    const { archives, world, backup, advance } = await setup();
    const old = backup(NOON - DAY);
    await archives.list(101, {});
    world.storage = 'new';
    const fresh = backup(NOON);
    expect((await archives.list(101, {})).backups.map(({ volid }) => volid)).toEqual([fresh.volid, old.volid]);
    await advance(61_000);
    world.listing = refused(500);
    expect((await archives.list(101, {})).backups.map(({ volid }) => volid)).toEqual([fresh.volid]);
  });
});

describe('after a backup', () => {
  test('what retention does not keep is deleted, one after the other, and written down before', async () => {
    const { archives, backup, ended, world, audit, rows, troubles } = await setup({ retention: { 'keep-last': 2 } });
    const [, , c, d] = [0, 1, 2, 3].map((day) => backup(NOON - day * DAY).volid);
    await archives.afterBackup(ended());
    expect(world.deleted).toEqual([d, c]);
    expect(rows().map(({ volid }) => volid)).toEqual(world.volumes.map(({ volid }) => volid).reverse());
    expect(audit().map(({ who, what, details }) => [who, what, JSON.parse(details).volid])).toEqual([
      ['agent', 'archive-delete', d],
      ['agent', 'archive-delete', c],
    ]);
    expect(troubles()).toEqual([]);
    expect(world.changes).toEqual([101]);
  });

  test('a listing that fails deletes and forgets nothing', async () => {
    const { archives, backup, ended, world, rows, troubles } = await setup({ retention: { 'keep-last': 1 } });
    for (let day = 0; day < 4; day += 1) backup(NOON - day * DAY);
    await archives.list(101, {});
    for (const failure of [refused(596), refused(403), new Error('x')]) {
      world.listing = failure;
      await archives.afterBackup(ended());
      await expect(archives.prune(101, { dryRun: false })).rejects.toMatchObject({ name: 'FelhomError' });
    }
    expect(world.deleted).toEqual([]);
    expect(rows()).toHaveLength(4);
    expect(troubles()).toEqual(['retention-stopped 101']);
    world.listing = null;
    await archives.afterBackup(ended());
    expect(world.deleted).toHaveLength(3);
    expect(troubles()).toEqual([]);
  });

  test('an archive that is much too small stops everything until one is right again', async () => {
    const { archives, backup, ended, world, troubles } = await setup({ retention: { 'keep-last': 1 } });
    for (let day = 4; day > 0; day -= 1) backup(NOON - day * DAY);
    backup(NOON, { sizeBytes: 10_000 });
    await archives.afterBackup(ended());
    expect(world.deleted).toEqual([]);
    expect(troubles()).toEqual(['archive-implausible 101']);
    expect(await archives.plan(101)).toMatchObject({ stopped: expect.stringContaining('has only') });
    expect(await archives.prune(101, { dryRun: false })).toMatchObject({ deleted: [] });
    expect(await archives.recentSizes(101)).toEqual([1_000_000, 1_000_000, 1_000_000]);
    backup(NOON + HOUR);
    await archives.afterBackup(ended());
    expect(troubles()).toEqual([]);
    expect(world.deleted).toHaveLength(5);
  });

  test('one that a wrong clock dated into the future neither displaces the new ones nor hides a small one', async () => {
    const { archives, backup, ended, world, codes } = await setup({ retention: { 'keep-last': 1 } });
    backup(NOON + 3000 * DAY);
    const old = backup(NOON - DAY).volid;
    const fresh = backup(NOON - HOUR).volid;
    await archives.afterBackup(ended());
    expect(world.deleted).toEqual([old]);
    expect(world.volumes.map(({ volid }) => volid)).toContain(fresh);
    backup(NOON, { sizeBytes: 10 });
    await archives.afterBackup(ended());
    expect(codes()).toContain('archive-implausible 101');
  });

  test('an archive that is not in the storage stops everything', async () => {
    const { archives, backup, ended, world, troubles } = await setup({ retention: { 'keep-last': 1 } });
    for (let day = 4; day >= 0; day -= 1) backup(NOON - day * DAY);
    world.volumes.pop();
    await archives.afterBackup(ended());
    expect(world.deleted).toEqual([]);
    expect(troubles()).toEqual(['retention-stopped 101']);
    expect((await archives.plan(101)).stopped).toBe('The archive of the newest backup is not in the storage.');
  });

  test('a deletion that fails ends it, and is told', async () => {
    const { archives, backup, ended, world, rows, troubles } = await setup({ retention: { 'keep-last': 1 } });
    for (let day = 0; day < 4; day += 1) backup(NOON - day * DAY);
    world.deletion = refused(500);
    await archives.afterBackup(ended());
    expect(rows()).toHaveLength(4);
    expect(troubles()).toEqual(['retention-stopped 101']);
  });

  test('archives of others stay, whoever they are, and nothing is deleted after a backup of theirs', async () => {
    const { archives, backup, ended, world } = await setup({ retention: { 'keep-last': 1 } });
    backup(NOON);
    for (let day = 1; day < 4; day += 1) backup(NOON - day * DAY, { job: false, notes: '' });
    for (let day = 4; day < 6; day += 1) backup(NOON - day * DAY, { source: 'proxmox', notes: '' });
    const old = backup(NOON - 9 * DAY);
    await archives.afterBackup(ended(101, 'proxmox'));
    expect(world.deleted).toEqual([]);
    await archives.afterBackup(ended());
    expect(world.deleted).toEqual([old.volid]);
  });

  test('a hundred extra backups leave every scheduled archive where it is', async () => {
    const { archives, backup, ended, world } = await setup({ retention: { 'keep-last': 3, 'keep-daily': 5 } });
    const scheduled = Array.from({ length: 5 }, (_, day) => backup(NOON - (5 - day) * DAY).volid);
    for (let count = 0; count < 100; count += 1) {
      backup(NOON + count * 60_000, { source: 'guest' });
      await archives.afterBackup(ended(101, 'guest'));
    }
    expect(world.volumes.map(({ volid }) => volid)).toEqual(expect.arrayContaining(scheduled));
    expect(world.volumes).toHaveLength(5 + 2);
  });

  test('a failed backup changes nothing', async () => {
    const { archives, backup, ended, world } = await setup({ retention: { 'keep-last': 1 } });
    for (let day = 0; day < 4; day += 1) backup(NOON - day * DAY);
    await archives.afterBackup({ ...ended(), state: 'failed' });
    expect(world.deleted).toEqual([]);
    expect(world.listings).toBe(0);
  });

  test('a dry run tells why, and does nothing', async () => {
    const { archives, backup, world, audit } = await setup({ retention: { 'keep-last': 1 } });
    const [a, b] = [backup(NOON).volid, backup(NOON - DAY).volid];
    const plan = await archives.prune(101, { dryRun: true });
    expect(plan).toMatchObject({ vmid: 101, stopped: '', deleted: [] });
    expect(plan.archives.map(({ volid, keep, why }) => [volid, keep, why])).toEqual([
      [a, true, 'one of the newest 1'],
      [b, false, 'older than what is to be kept (keep-last=1)'],
    ]);
    expect(world.deleted).toEqual([]);
    expect(await archives.prune(101, { dryRun: false })).toMatchObject({ deleted: [b] });
    expect(audit()).toMatchObject([{ who: 'root', what: 'archive-delete' }]);
  });
});

describe('verification', () => {
  test('reads the newest first, one at a time, and only begins while no backup runs', async () => {
    const { archives, backup, world, settle, rows } = await setup();
    const [, b] = [backup(NOON - HOUR), backup(NOON - 2 * HOUR)];
    world.holdChecks = true;
    world.busy = true;
    await archives.list(101, {});
    await archives.tick();
    expect(world.checked).toEqual([]);
    world.busy = false;
    await archives.tick();
    await archives.tick();
    expect(world.checked).toEqual([`/mnt/bak/dump/${volidAt(NOON - HOUR).split('/')[1]}`]);
    world.answerCheck?.();
    await settle();
    await archives.tick();
    expect(world.checked).toHaveLength(2);
    expect(rows().map(({ volid, verification }) => [volid, verification])).toEqual([
      [b?.volid, 'pending'],
      [volidAt(NOON - HOUR), 'ok'],
    ]);
  });

  const stateOf = (verdict: 'whole' | 'damaged' | 'unsupported' | 'unreadable') => ({
    verdict,
    error: verdict === 'whole' ? '' : 'Because.',
  });

  test.each([
    ['whole', 'ok', []],
    ['damaged', 'failed', ['archive-damaged 101']],
    ['unsupported', 'unsupported', []],
    ['unreadable', 'pending', []],
  ] as const)('an archive that is %s becomes %s', async (verdict, verification, expected) => {
    const { archives, backup, settle, codes, world, journal } = await setup({ check: stateOf(verdict) });
    const { volid } = backup(NOON - HOUR);
    await archives.tick();
    await settle();
    const state = await archives.verifyState(volid);
    expect(state).toMatchObject({ volid, running: false, verification, error: verdict === 'whole' ? '' : 'Because.' });
    expect(state.verified_at === null).toBe(verdict === 'unsupported' || verdict === 'unreadable');
    expect(codes()).toEqual(expected);
    expect(world.checked).toHaveLength(1);
    await archives.tick();
    await settle();
    // What could not be read is tried again, but not at once.
    expect(world.checked).toHaveLength(1);
    expect(journal.some((line) => line.includes(volid))).toBe(true);
  });

  test('what could not be read is tried again after an hour', async () => {
    const { archives, backup, settle, advance, world } = await setup({ check: stateOf('unreadable') });
    backup(NOON - HOUR);
    await archives.tick();
    await settle();
    await advance(HOUR + 1);
    await archives.tick();
    await settle();
    expect(world.checked).toHaveLength(2);
  });

  test('a damaged archive is a problem until it is gone', async () => {
    const { archives, backup, settle, advance, codes, world, problems } = await setup({ check: stateOf('damaged') });
    backup(NOON - HOUR);
    await archives.tick();
    await settle();
    expect(problems.list()).toMatchObject([{ code: 'archive-damaged', severity: 'critical', vmid: 101 }]);
    world.volumes = [];
    await advance(61_000);
    await archives.list(101, {});
    await archives.tick();
    expect(codes()).toEqual([]);
  });

  test('of a guest that was removed nothing is told any more', async () => {
    const { archives, backup, settle, codes, world } = await setup({ check: stateOf('damaged') });
    backup(NOON - HOUR);
    await archives.tick();
    await settle();
    expect(codes()).toEqual(['archive-damaged 101']);
    world.guests = [];
    await archives.tick();
    expect(codes()).toEqual([]);
  });

  test('an archive that nobody read for a day is a problem, until somebody has', async () => {
    const { archives, backup, advance, codes, world, settle, problems } = await setup();
    backup(NOON - HOUR);
    world.holdChecks = true;
    await archives.tick();
    await advance(22 * HOUR);
    await archives.tick();
    expect(codes()).toEqual([]);
    await advance(2 * HOUR);
    await archives.tick();
    expect(codes()).toEqual(['verification-late 101']);
    expect(problems.list()[0]?.evidence).toContain('Not checked: 1');
    world.answerCheck?.();
    await settle();
    expect(codes()).toEqual([]);
  });

  test('what stayed unread while the agent was down is no problem until it had hours to catch up', async () => {
    const { archives, backup, advance, codes, world } = await setup();
    backup(NOON - 48 * HOUR);
    world.holdChecks = true;
    await archives.tick();
    await advance(5 * HOUR);
    await archives.tick();
    expect(codes()).toEqual([]);
    await advance(2 * HOUR);
    await archives.tick();
    expect(codes()).toEqual(['verification-late 101']);
  });

  test('a stop ends the reading with nothing known, and the next start begins anew', async () => {
    const { archives, start, backup, world, rows } = await setup();
    backup(NOON - HOUR);
    world.holdChecks = true;
    await archives.tick();
    await archives.close();
    expect(rows()).toMatchObject([{ verification: 'pending' }]);
    const again = start();
    await again.tick();
    expect(world.checked).toHaveLength(2);
  });

  test('a storage that is taken out of use is let go at once, with nothing known; another one is read on', async () => {
    const { archives, backup, world, rows } = await setup();
    backup(NOON - HOUR);
    world.holdChecks = true;
    await archives.tick();
    await archives.letGo(['other']);
    await archives.tick();
    expect(world.checked).toHaveLength(1);
    await archives.letGo(['other', 'bak']);
    expect(rows()).toMatchObject([{ verification: 'pending' }]);
    await archives.tick();
    expect(world.checked).toHaveLength(2);
  });

  test('archives of others are not read', async () => {
    const { archives, backup, world, settle } = await setup();
    backup(NOON - HOUR, { job: false, notes: '' });
    backup(NOON - 2 * HOUR, { source: 'proxmox', notes: '' });
    await archives.tick();
    await settle();
    expect(world.checked).toEqual([]);
  });

  test('a file that Proxmox shows elsewhere than its name says is not opened', async () => {
    const { archives, backup, world, settle, rows } = await setup();
    backup(NOON - HOUR, { volid: 'bak:backup/vzdump-lxc-101-2026_11_21-11_00_00.tar.zst' });
    backup(NOON - 2 * HOUR, { volid: 'bak:backup/vzdump-lxc-101-2026_11_21-10_00_00.tar.zst/../../x' });
    await archives.tick();
    await settle();
    await archives.tick();
    await settle();
    expect(world.checked).toEqual(['/mnt/bak/dump/vzdump-lxc-101-2026_11_21-11_00_00.tar.zst']);
    expect(rows()).toMatchObject([{ verification: 'unsupported' }, { verification: 'ok' }]);
  });

  test.each([
    ['/mnt/bak/dump', 'vzdump-lxc-102-2026_11_21-11_00_00.tar.zst'],
    ['mnt/bak/dump', null],
    ['', 'x'],
  ])('the path %s/%s is not that of the archive', async (directory, fileName) => {
    const { archives, backup, world, settle, rows } = await setup();
    Object.assign(world, { directory, fileName });
    backup(NOON - HOUR);
    await archives.tick();
    await settle();
    expect(world.checked).toEqual([]);
    expect(rows()).toMatchObject([{ verification: 'pending' }]);
  });

  test("a backup server's own verdict counts, and is asked for anew", async () => {
    const { archives, backup, world, settle, advance, codes } = await setup();
    const volid = 'bak:backup/ct/101/2026-11-21T11:00:00Z';
    const { volume } = backup(NOON - HOUR, { volid, format: 'pbs-ct', verification: null });
    const verification = async () => (await archives.list(101, {})).backups[0]?.verification;
    expect(await verification()).toBe('pending');
    volume.verification = 'ok';
    await advance(61_000);
    expect(await verification()).toBe('ok');
    volume.verification = 'failed';
    await advance(61_000);
    expect(await verification()).toBe('failed');
    await archives.tick();
    await settle();
    expect(codes()).toEqual(['archive-damaged 101']);
    expect(world.checked).toEqual([]);
    expect(await archives.verify(volid)).toMatchObject({ running: false, verification: 'failed' });
  });

  test('a person may have any archive read, before all others', async () => {
    const { archives, backup, world, settle } = await setup();
    backup(NOON - HOUR);
    const { volid } = backup(NOON - 9 * DAY);
    world.busy = true;
    expect(await archives.verify(volid)).toMatchObject({ running: true, verification: 'pending' });
    expect(world.checked).toEqual([]);
    world.busy = false;
    await archives.tick();
    await settle();
    expect(await archives.verifyState(volid)).toMatchObject({ running: false, verification: 'ok' });
    world.finding = { ...world.finding, ...stateOf('damaged') };
    expect(await archives.verify(volid)).toMatchObject({ running: true });
    await settle();
    expect(await archives.verifyState(volid)).toMatchObject({ running: false, verification: 'failed' });
  });

  test('a verdict outlives the absence of the drive, but not another file of the same name', async () => {
    const { archives, backup, world, settle, advance } = await setup();
    const { volume } = backup(NOON - HOUR);
    await archives.tick();
    await settle();
    for (const [volumes, verification] of [
      [[], undefined],
      [[volume], 'ok'],
      [[{ ...volume, sizeBytes: 5 }], 'pending'],
    ] as const) {
      world.volumes = [...volumes];
      await advance(61_000);
      expect((await archives.list(101, {})).backups[0]?.verification).toBe(verification);
    }
  });
});

test('a guest is looked after every few hours, without anybody asking', async () => {
  const { archives, world, advance, backup } = await setup();
  world.guests.push({ ...(world.guests[0] as (typeof world.guests)[0]), vmid: 102 });
  backup(NOON, { vmid: 102 });
  for (let tick = 0; tick < 10; tick += 1) await archives.tick();
  expect(world.listings).toBe(1);
  await advance(60_000);
  for (let tick = 0; tick < 10; tick += 1) await archives.tick();
  expect(world.listings).toBe(2);
  for (let tick = 0; tick < 5 * 60; tick += 1) {
    await advance(60_000);
    await archives.tick();
  }
  expect(world.listings).toBe(2);
  await advance(HOUR);
  await archives.tick();
  expect(world.listings).toBe(3);
});

test('a storage that cannot be listed is left alone for a while, for every guest', async () => {
  const { archives, world, advance } = await setup();
  for (const vmid of [102, 103, 104]) world.guests.push({ ...(world.guests[0] as (typeof world.guests)[0]), vmid });
  world.listing = new Error('596');
  for (let tick = 0; tick < 60; tick += 1) {
    await archives.tick();
    await advance(10_000);
  }
  expect(world.listings).toBe(1);
});

test('protection is written down, and keeps', async () => {
  const { archives, backup, ended, world, audit } = await setup({ retention: { 'keep-last': 1 } });
  const [, old] = [backup(NOON), backup(NOON - DAY)];
  expect(await archives.protect(old.volid, true)).toMatchObject({ protected: true });
  await archives.afterBackup(ended());
  expect(world.deleted).toEqual([]);
  expect(await archives.protect(old.volid, false)).toMatchObject({ protected: false });
  await archives.afterBackup(ended());
  expect(world.deleted).toEqual([old.volid]);
  expect(audit().map(({ what }) => what)).toEqual(['archive-protected', 'archive-unprotected', 'archive-delete']);
});

test.each([
  'bak:backup/vzdump-lxc-101-2020_01_01-00_00_00.tar.zst',
  'bak:backup/../../etc/shadow',
  'bak:backup/vzdump-lxc-101-2026_11_21-12_00_00.tar.zst/../x',
  'local:iso/debian.iso',
  '/mnt/bak/dump/vzdump-lxc-101-2026_11_21-12_00_00.tar.zst',
  '',
])('"%s" is no archive', async (volid) => {
  const { archives, backup, world } = await setup();
  backup(NOON);
  for (const ask of [
    archives.protect(volid, true),
    archives.verify(volid),
    archives.verifyState(volid),
    archives.restoreAdvice(volid),
  ])
    await expect(ask).rejects.toMatchObject({ code: 'not-found' });
  expect(world.checked).toEqual([]);
});

test('restore advice tells the archive and the guest as they are', async () => {
  const { archives, backup } = await setup();
  const { volid } = backup(NOON - 3 * DAY, { label: 'app' });
  expect(await archives.restoreAdvice(volid)).toMatchObject({
    volid,
    vmid: 101,
    type: 'lxc',
    label: 'app',
    verification: 'pending',
    command: `pct restore 101 ${volid} --storage btr --force 1`,
    overwrites: ['rootfs (/) on btr is destroyed and made anew from the archive.'],
    warnings: [
      'This archive was not checked yet: nobody knows whether it is whole.',
      'It is 3 days old: what came later is not in it.',
      'The guest runs: first "pct shutdown 101".',
      expect.stringContaining(`"pct restore 100 ${volid} --storage btr --unique 1"`),
    ],
  });
});
