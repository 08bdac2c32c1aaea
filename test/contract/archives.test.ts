/** The archives service over its real ports: backups that the simulated node made, read by the real program. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ArchiveService, createArchives } from '#agent/archives/service';
import type { AgentConfig } from '#agent/config';
import { loadProblems } from '#agent/health/problems';
import { createArchiveCheck } from '#agent/ports/archive-check';
import { systemClock } from '#agent/ports/clock';
import type { Proxmox } from '#agent/ports/proxmox';
import { createProxmox } from '#agent/ports/proxmox-http';
import { openStore, type Store } from '#agent/ports/store';
import { BACKUP_STORAGE, type DemoHost, startDemoHost } from '../demo/host.ts';
import { hasZstd } from '../unit/agent/archive-check/make.ts';

const HOST = 'pve1-k3v7q2m5xw8r4t6y9zbc';

const dir = mkdtempSync(join(tmpdir(), 'felhom-archives-'));
const compress = hasZstd ? 'zstd' : 'gzip';
let host: DemoHost;
let proxmox: Proxmox;
let store: Store;
let archives: ArchiveService;
let problems: Awaited<ReturnType<typeof loadProblems>>;
let jobs = 0;

const VM = 301;
const JOB = (count: number) => `00000000-0000-4000-8000-${String(count).padStart(12, '0')}`;

beforeAll(async () => {
  host = await startDemoHost({ dir, vmids: [101, 102] });
  const disk = join(dir, 'guests', String(VM), 'scsi0');
  mkdirSync(disk, { recursive: true });
  writeFileSync(join(disk, 'data.txt'), 'the data of a virtual machine');
  const { world } = host.pve;
  world.guests.set(VM, {
    ...{ vmid: VM, type: 'qemu', snapshots: {}, status: 'stopped', paused: false, guestAgentRuns: false },
    config: { name: 'vm', memory: 512, scsi0: `local-btrfs:${VM}/disk.raw,size=8G` },
    directories: { scsi0: disk },
  });
  host.pve.writeConfigFiles();
  proxmox = createProxmox({
    endpoint: host.pve.endpoint,
    token: host.token,
    node: host.pve.node,
    clock: systemClock,
    fingerprints: async () => [host.pve.fingerprint],
  });
  store = await openStore(join(dir, 'state.db'));
  problems = await loadProblems({ store, clock: systemClock, journal: () => {} });
  archives = createArchives({
    hostId: HOST,
    store,
    proxmox,
    clock: systemClock,
    journal: () => {},
    problems,
    settings: () => ({ storage: BACKUP_STORAGE, retention: { 'keep-last': 1 } }) as AgentConfig['backup'],
    check: createArchiveCheck({ clock: systemClock }),
    busy: () => false,
    guests: () => [101, 102, VM],
  });
});

afterAll(async () => {
  await archives.close();
  await proxmox.close();
  await store.close();
  await host.pve.close();
  rmSync(dir, { recursive: true, force: true });
});

/** As agent/backups does it: a row, the task, and the archive's name in the row. */
const backup = async (vmid: number): Promise<string> => {
  jobs += 1;
  // Names of archives have whole seconds.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const upid = await proxmox.startVzdump({
    vmid,
    storage: BACKUP_STORAGE,
    mode: 'snapshot',
    compress,
    notes: `felhom job ${JOB(jobs)} host ${HOST}`,
  });
  await host.pve.taskEnded(upid);
  expect(await proxmox.taskStatus(upid)).toMatchObject({ exitstatus: 'OK' });
  const made = (await proxmox.backupVolumes(BACKUP_STORAGE, vmid)).sort((a, b) => b.ctime - a.ctime)[0];
  const volid = made?.volid ?? '';
  await store.write({
    sql: "INSERT INTO backup_jobs (job_id, vmid, state, storage, created_at, archive, size_bytes, label) VALUES (?, ?, 'done', ?, ?, ?, ?, 'app')",
    values: [JOB(jobs), vmid, BACKUP_STORAGE, Date.now(), volid, made?.sizeBytes ?? 0],
  });
  return volid;
};

const fileOf = async (volid: string): Promise<string> => (await proxmox.volumeInfo(BACKUP_STORAGE, volid)).path;
const ended = (vmid: number) => ({ vmid, storage: BACKUP_STORAGE, state: 'done', source: 'schedule' }) as const;
const listed = async (vmid: number) => (await archives.prune(vmid, { dryRun: true })).archives;

const verified = async (volid: string) => {
  await archives.verify(volid);
  for (let tries = 0; tries < 200 && (await archives.verifyState(volid)).running; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 50));
  return archives.verifyState(volid);
};

test.each([101, VM])('a backup of guest %s is listed, and read to its end', async (vmid) => {
  const volid = await backup(vmid);
  await archives.afterBackup(ended(vmid));
  expect(await archives.list(vmid, {})).toMatchObject({
    backups: [{ volid, label: 'app', source: 'schedule', verification: 'pending', notes: expect.stringContaining('felhom job') }],
  });
  expect(await verified(volid)).toMatchObject({ verification: 'ok', error: '' });
  expect(await archives.recentSizes(vmid)).toEqual([(await proxmox.volumeInfo(BACKUP_STORAGE, volid)).sizeBytes]);
});

test('the next backup replaces it, but not while it is protected, or the only one that was verified', async () => {
  const [first] = await listed(101);
  const old = first?.volid ?? '';
  const middle = await backup(101);
  await archives.afterBackup(ended(101));
  expect((await listed(101)).map(({ volid, why }) => [volid, why])).toEqual([
    [middle, 'one of the newest 1'],
    [old, expect.stringContaining('verified')],
  ]);
  await verified(middle);
  await archives.protect(old, true);
  expect((await proxmox.volumeInfo(BACKUP_STORAGE, old)).protected).toBe(true);
  const newest = await backup(101);
  await archives.afterBackup(ended(101));
  expect((await listed(101)).map(({ volid }) => volid)).toEqual([newest, middle, old]);
  await archives.protect(old, false);
  expect((await archives.prune(101, { dryRun: false })).deleted).toEqual([old]);
  expect((await proxmox.backupVolumes(BACKUP_STORAGE, 101)).map(({ volid }) => volid).sort()).toEqual([middle, newest].sort());
  expect(problems.list()).toEqual([]);
});

test.each([
  [102, (data: Buffer) => data.subarray(0, data.length >> 1)],
  [VM, (data: Buffer) => Buffer.from(data).fill(0, 100, 300)],
])('an archive of guest %s that is damaged on the drive is found', async (vmid, change) => {
  const volid = await backup(vmid);
  await archives.afterBackup(ended(vmid));
  const path = await fileOf(volid);
  writeFileSync(path, change(readFileSync(path)));
  expect(await verified(volid)).toMatchObject({ verification: 'failed', error: expect.stringMatching(/^The .*\.$/) });
  expect(problems.list(vmid)).toMatchObject([{ code: 'archive-damaged', severity: 'critical', vmid }]);
  expect((await listed(vmid))[0]).toMatchObject({ keep: true, why: 'damaged, but no newer one was verified yet' });
});

test('a storage that cannot be listed changes nothing', async () => {
  const before = await archives.recentSizes(101);
  const { world } = host.pve;
  const acl = world.acl.splice(0);
  await expect(archives.prune(101, { dryRun: false })).rejects.toMatchObject({ code: 'proxmox-permission' });
  await archives.afterBackup(ended(101));
  world.acl.push(...acl);
  expect(await archives.recentSizes(101)).toEqual(before);
  expect(problems.list(101).map(({ code }) => code)).toContain('retention-stopped');
});
