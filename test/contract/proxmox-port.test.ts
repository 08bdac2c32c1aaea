/** The Proxmox port against the simulated node: every call with the rights that README grants, and without them. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#agent/ports/clock';
import { createNodeLock } from '#agent/ports/node-lock';
import { createPmxcfs } from '#agent/ports/pmxcfs';
import { createProc } from '#agent/ports/proc';
import type { Proxmox } from '#agent/ports/proxmox';
import { createProxmox } from '#agent/ports/proxmox-http';
import { createTaskIndex } from '#agent/ports/task-index';
import { BACKUP_STORAGE as BAK, type DemoHost, startDemoHost } from '../demo/host.ts';

let directory: string;
let host: DemoHost;
let proxmox: Proxmox;
/** A token with no rights at all. */
let weak: Proxmox;

const client = (token: string): Proxmox =>
  createProxmox({
    endpoint: host.pve.endpoint,
    token,
    node: 'pve1',
    clock: systemClock,
    fingerprints: async () => [host.pve.fingerprint],
    timeouts: { postMs: 8000 },
  });

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'felhom-port-'));
  host = await startDemoHost({ dir: directory, vmids: [101, 102, 103], unauthorizedDelayMs: 0 });
  proxmox = client(host.token);
  weak = client(host.pve.addToken('weak@pve', 'one'));
});
afterAll(async () => {
  await Promise.all([proxmox.close(), weak.close()]);
  await host.pve.close();
  await rm(directory, { recursive: true, force: true });
});
afterEach(async () => {
  host.pve.faults.clear();
  delete host.pve.vzdumpFaults.hang;
  await Promise.all((await proxmox.runningVzdump()).map(({ upid }) => host.pve.killTask(upid)));
  for (const vmid of [101, 102, 103]) host.pve.setGuestLock(vmid, null);
});

const now = (): number => Math.floor(Date.now() / 1000);
const refused = { code: 'proxmox-permission' };

const start = (vmid: number): Promise<string> =>
  proxmox.startVzdump({ vmid, storage: BAK, mode: 'snapshot', compress: 'zstd', notes: 'felhom job 1' });

/** Names carry the second, so each archive has its own. */
const archive = async (vmid: number): Promise<string> => {
  const before = (await proxmox.backupVolumes(BAK, vmid)).map(({ volid }) => volid);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const upid = await start(vmid);
  await host.pve.taskEnded(upid);
  expect(await proxmox.taskStatus(upid)).toMatchObject({ running: false, exitstatus: 'OK' });
  const [made] = (await proxmox.backupVolumes(BAK, vmid)).filter(({ volid }) => !before.includes(volid));
  return made?.volid ?? expect.fail('no archive');
};

/** A vzdump that has begun and stays where it is. */
const lasting = async (begin: () => string | Promise<string>): Promise<string> => {
  host.pve.vzdumpFaults.hang = 'creating vzdump archive';
  const upid = await begin();
  await expect.poll(() => proxmox.taskLog(upid, 0), { timeout: 5000 }).toContainEqual(expect.stringContaining('creating vzdump'));
  return upid;
};

test('what a container has in use', async () => {
  const { guests } = await proxmox.resources();
  expect(guests).toHaveLength(3);
  expect(guests[0]).toMatchObject({ vmid: 101, usedBytes: 2 * 1024 ** 3, diskBytes: 8 * 1024 ** 3 });
});

test('an archive is looked at, protected, and deleted with its files', async () => {
  const volid = await archive(101);
  const [listed] = await proxmox.backupVolumes(BAK, 101);
  expect(listed).toMatchObject({ volid, notes: 'felhom job 1', protected: false, format: 'tar.zst', verification: null });
  const { path, sizeBytes } = await proxmox.volumeInfo(BAK, volid);
  expect((await readFile(path)).length).toBe(sizeBytes);
  await proxmox.protectVolume(BAK, volid, true);
  expect([(await proxmox.volumeInfo(BAK, volid)).protected, (await proxmox.backupVolumes(BAK, 101))[0]?.protected]).toEqual([
    true,
    true,
  ]);
  await expect(proxmox.deleteVolume(BAK, volid)).rejects.toThrow('cannot remove protected volume');
  await proxmox.protectVolume(BAK, volid, false);
  await proxmox.deleteVolume(BAK, volid);
  expect(await proxmox.backupVolumes(BAK, 101)).toEqual([]);
  await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
  // What is gone already is deleted all the same; the attributes of it are an error.
  await proxmox.deleteVolume(BAK, volid);
  await expect(proxmox.volumeInfo(BAK, volid)).rejects.toMatchObject({ status: 500 });
});

test('a deletion and a protection whose answers are lost are settled by looking, and never sent twice', async () => {
  const volid = await archive(102);
  const kept = await archive(102);
  const sent = (method: string) => host.pve.requests.filter((one) => one.method === method).length;
  const before = [sent('DELETE'), sent('PUT')];
  host.pve.faults.add({ method: 'DELETE', times: 1, effect: { reset: true, after: 'work' } });
  host.pve.faults.add({ method: 'PUT', times: 1, effect: { answer: 596, after: 'work' } });
  await proxmox.deleteVolume(BAK, volid);
  await proxmox.protectVolume(BAK, kept, true);
  expect([sent('DELETE'), sent('PUT')].map((count, i) => count - (before[i] ?? 0))).toEqual([1, 1]);
  host.pve.faults.add({ method: 'PUT', times: 1, effect: { reset: true } });
  await expect(proxmox.protectVolume(BAK, kept, false)).rejects.toMatchObject({ effect: 'unknown' });
  await proxmox.protectVolume(BAK, kept, false);
  host.pve.faults.add({ method: 'DELETE', times: 1, effect: { answer: 596 } });
  await expect(proxmox.deleteVolume(BAK, kept)).rejects.toMatchObject({ effect: 'unknown' });
  expect((await proxmox.backupVolumes(BAK, 102)).map((one) => one.volid)).toEqual([kept]);
});

test('an inactive storage: Proxmox refuses, and its list says that it is not there', async () => {
  const storage = host.pve.world.storages.get(BAK);
  if (!storage) expect.fail('no storage');
  storage.active = false;
  try {
    await expect(proxmox.deleteVolume(BAK, `${BAK}:backup/vzdump-lxc-101-2026_11_21-22_45_55.tar.zst`)).rejects.toMatchObject({
      code: 'proxmox-failed',
    });
    await expect(proxmox.backupVolumes(BAK, 101)).rejects.toThrow('unable to activate storage');
    const { storages } = await proxmox.resources();
    expect(storages.find((one) => one.storage === BAK)).toMatchObject({ status: 'unknown', maxdisk: null });
  } finally {
    storage.active = true;
  }
});

test('our own task is stopped, also when the answer is lost; stopping it again is no failure', async () => {
  const upid = await lasting(() => start(101));
  host.pve.faults.add({ method: 'DELETE', times: 1, effect: { reset: true, after: 'work' } });
  await proxmox.stopTask(upid).catch(() => proxmox.stopTask(upid));
  expect(await proxmox.taskStatus(upid)).toMatchObject({ running: false, exitstatus: 'interrupted by signal' });
  await proxmox.stopTask(upid);
});

test("somebody else's task may be seen and not stopped", async () => {
  const upid = await lasting(() => host.pve.startForeignVzdump({ vmid: 102 }, { storage: BAK }));
  await expect(proxmox.stopTask(upid)).rejects.toMatchObject({ status: 403, ...refused });
  expect(await proxmox.taskStatus(upid)).toMatchObject({ running: true });
});

test.each([
  ['one guest', { vmid: 102 }, '102'],
  ['several guests', { vmid: [101, 102] }, ''],
  ['all guests', { all: 1 }, ''],
] as const)('a foreign vzdump of %s is seen in every way there is', async (_what, which, id) => {
  const index = createTaskIndex(host.pve.files.taskLogDir);
  const lock = createNodeLock({ lockFile: host.pve.files.lockFile, proc: createProc() });
  expect([await proxmox.runningVzdump(), await lock.held()]).toEqual([[], false]);
  const since = now();
  const upid = await lasting(() => host.pve.startForeignVzdump(which, { storage: BAK }));
  expect(await proxmox.runningVzdump()).toEqual([{ upid, type: 'vzdump', id, user: 'root@pam', starttime: expect.any(Number) }]);
  expect(await index.read()).toContainEqual({ upid, running: true, status: '' });
  expect(await lock.held()).toBe(true);
  // A task over several guests bears no number.
  const ofGuest = (await proxmox.guestTasks(102, since)).map((task) => task.upid);
  expect(ofGuest.includes(upid)).toBe(id === '102');
  await host.pve.killTask(upid);
  expect(await index.read()).toContainEqual({ upid, running: false, status: 'unexpected status' });
  expect([await proxmox.runningVzdump(), await lock.held()]).toEqual([[], false]);
});

test('a killed worker leaves no TASK line, and the lock in the configuration', async () => {
  const upid = await lasting(() => start(101));
  await host.pve.killTask(upid);
  expect((await proxmox.taskLog(upid, 0)).at(-1)).toContain('creating vzdump archive');
  expect(await proxmox.taskStatus(upid)).toMatchObject({ exitstatus: 'unexpected status' });
  expect((await proxmox.resources()).guests[0]?.lock).toBe('backup');
  host.pve.setGuestLock(101, null);
  expect((await proxmox.resources()).guests[0]?.lock).toBe('');
});

test('the cluster file system as the node shows it', async () => {
  const pmxcfs = createPmxcfs(host.pve.files.configDir);
  const { state, guests } = await pmxcfs.read();
  expect([state, guests.get(103)]).toEqual(['ok', { node: 'pve1', type: 'lxc' }]);
  host.pve.world.quorate = false;
  host.pve.writeConfigFiles();
  expect((await pmxcfs.read()).state).toBe('no-quorum');
  host.pve.world.quorate = true;
  host.pve.writeConfigFiles();
  expect((await pmxcfs.read()).state).toBe('ok');
});

test('the next hundred moments of a schedule', async () => {
  const from = Date.UTC(2026, 10, 21, 22, 30) / 1000;
  const moments = await proxmox.analyzeSchedule('04:15 UTC', from);
  expect(moments).toHaveLength(100);
  expect(moments.slice(0, 2)).toEqual([22, 23].map((day) => Date.UTC(2026, 10, day, 4, 15) / 1000));
  expect(await proxmox.analyzeSchedule('2026-11-22 04:15 UTC', from)).toHaveLength(1);
  expect(await proxmox.analyzeSchedule('2020-1-1 UTC', from)).toEqual([]);
  await expect(proxmox.analyzeSchedule('25:00', from)).rejects.toMatchObject({ status: 400, effect: 'never' });
});

test("the node's time zone is one that this program knows", async () => {
  const timeZone = await proxmox.timezone();
  expect(new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone).toBeTruthy();
});

const VOLID = `${BAK}:backup/vzdump-lxc-101-2026_11_21-22_45_55.tar.zst`;
const FOREIGN = 'UPID:pve1:000002DE:0002AD06:6B021F23:vzdump:101:root@pam:';

test.each<[string, (port: Proxmox) => Promise<unknown>]>([
  ['volumeInfo', (port) => port.volumeInfo(BAK, VOLID)],
  ['protectVolume', (port) => port.protectVolume(BAK, VOLID, true)],
  ['deleteVolume', (port) => port.deleteVolume(BAK, VOLID)],
  ['backupVolumes', (port) => port.backupVolumes(BAK, 101)],
  ['stopTask', (port) => port.stopTask(FOREIGN)],
  ['guestTasks', (port) => port.guestTasks(101, 0)],
  ['runningVzdump', (port) => port.runningVzdump()],
  ['timezone', (port) => port.timezone()],
  ['resources', (port) => port.resources()],
  ['enableStorage', (port) => port.enableStorage(BAK, false)],
  ['backupJobs', (port) => port.backupJobs()],
  ['enableBackupJob', (port) => port.enableBackupJob('nightly', false)],
])('%s without the right is refused, not empty', async (_name, call) => {
  await expect(call(weak)).rejects.toMatchObject({ effect: 'never', ...refused });
});

test('storages and backup jobs are switched off and on, with rights that the agent is not given on a real host', async () => {
  const { world } = host.pve;
  world.backupJobs.set('nightly', { schedule: '02:00', storage: BAK, all: 1 });
  world.backupJobs.set('paused', { schedule: '03:00', dumpdir: '/mnt/usb', enabled: 0 });
  expect(await proxmox.backupJobs()).toEqual([
    { id: 'nightly', enabled: true, storage: BAK, dumpDir: '' },
    { id: 'paused', enabled: false, storage: '', dumpDir: '/mnt/usb' },
  ]);
  await expect(proxmox.enableStorage(BAK, false)).rejects.toMatchObject({ effect: 'never', ...refused });
  await expect(proxmox.enableBackupJob('nightly', false)).rejects.toMatchObject({ effect: 'never', ...refused });

  const root = client(host.pve.addToken('root@pam', 'felhom', { privsep: false }));
  const isDisabled = async () => (await proxmox.storageConfigs()).find(({ storage }) => storage === BAK)?.disabled;
  const isEnabled = async () => (await proxmox.backupJobs()).find(({ id }) => id === 'nightly')?.enabled;
  try {
    for (const on of [false, false, true, true]) {
      await root.enableStorage(BAK, on);
      await root.enableBackupJob('nightly', on);
      expect([await isDisabled(), await isEnabled()]).toEqual([!on, on]);
    }
  } finally {
    await root.close();
    world.backupJobs.clear();
  }
});

test('a schedule needs no right', async () => expect(await weak.analyzeSchedule('hourly', now())).toHaveLength(100));
