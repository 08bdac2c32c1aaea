/** The simulator's HTTP side: authentication, faults, and what a least-privilege token is answered. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Got, parseRaw, send, sendRaw } from '../pve/fidelity/send.ts';
import { type Pve, startPve } from '../pve/server.ts';
import type { Guest, World } from '../pve/world.ts';

const container = (vmid: number): Guest => ({
  vmid,
  type: 'lxc',
  config: {
    hostname: `ct${vmid}`,
    memory: 256,
    swap: 512,
    cores: 1,
    rootfs: `local:${vmid}/subvol-${vmid}-disk-0.subvol,size=0T`,
  },
  snapshots: {},
  status: 'stopped',
  paused: false,
  guestAgentRuns: false,
  directories: {},
});

const leastPrivilege = (world: World): void => {
  world.guests.set(101, container(101));
  world.roles.set('FelhomAgent', ['VM.Audit', 'VM.Backup', 'Sys.Audit', 'Datastore.Audit']);
  world.roles.set('FelhomBackupStore', ['Datastore.Audit', 'Datastore.AllocateSpace', 'Datastore.Allocate']);
  for (const [type, ugid] of [
    ['user', 'felhom@pve'],
    ['token', 'felhom@pve!pve1'],
  ] as const) {
    world.acl.push({ path: '/', roleid: 'FelhomAgent', type, ugid, propagate: true });
    world.acl.push({ path: '/storage/local', roleid: 'FelhomBackupStore', type, ugid, propagate: true });
  }
};

const UNAUTHORIZED_MS = 200;

let dir: string;
let pve: Pve;
let token: string;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'pve-contract-'));
  pve = await startPve({ dir, unauthorizedDelayMs: UNAUTHORIZED_MS, world: leastPrivilege });
  token = pve.addToken('felhom@pve', 'pve1', { privsep: true });
});

afterAll(async () => {
  await pve.close();
  rmSync(dir, { recursive: true, force: true });
});

beforeEach(() => pve.faults.clear());

const api = (method: string, path: string, body?: string, authorization = `PVEAPIToken=${token}`): Promise<Got> =>
  send(pve.port, {
    method,
    path: `/api2/json${path}`,
    headers: {
      authorization,
      connection: 'close',
      ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    },
    ...(body === undefined ? {} : { body: Buffer.from(body) }),
  });

const data = (got: Got): unknown => (JSON.parse(got.body) as { data: unknown }).data;

test.each([
  ['/access/permissions'],
  ['/nodes/pve1/status'],
  ['/nodes/pve1/storage'],
  ['/nodes/pve1/lxc'],
  ['/nodes/pve1/lxc/101/config'],
  ['/cluster/resources'],
  ['/nodes/pve1/rrddata?timeframe=hour'],
  ['/nodes/pve1/disks/list'],
  ['/storage'],
  ['/cluster/jobs/schedule-analyze?schedule=daily&starttime=1'],
  ['/nodes/pve1/storage/local/prunebackups?prune-backups=keep-last%3D1'],
])('a least-privilege token reads %s in full', async (path) => {
  const got = await api('GET', path);
  expect(got).toMatchObject({ status: 200, reason: 'OK' });
  if (!path.includes('prunebackups')) expect(Object.keys(data(got) as object)).not.toHaveLength(0);
});

test('it backs up, finds the archive with its note, and removes it', async () => {
  const started = await api(
    'POST',
    '/nodes/pve1/vzdump',
    'vmid=101&storage=local&mode=stop&lockwait=0&prune-backups=keep-all%3D1&notes-template=felhom+1',
  );
  const upid = String(data(started));
  await pve.taskEnded(upid);
  const status = await api('GET', `/nodes/pve1/tasks/${encodeURIComponent(upid)}/status`);
  expect(data(status)).toMatchObject({ status: 'stopped', exitstatus: 'OK', user: 'felhom@pve', tokenid: 'pve1' });
  const content = '/nodes/pve1/storage/local/content';
  const [archive] = data(await api('GET', `${content}?content=backup`)) as { volid: string; notes: string }[];
  expect(archive).toMatchObject({ notes: 'felhom 1' });
  const removed = await api('DELETE', `${content}/${encodeURIComponent(archive?.volid ?? '')}?delay=5`);
  expect(data(removed)).toBeNull();
  expect(data(await api('GET', `${content}?content=backup`))).toEqual([]);
});

test.each([
  [
    'another path than its own',
    'POST',
    '/nodes/pve1/lxc/101/status/start',
    '',
    'Permission check failed (/vms/101, VM.PowerMgmt)',
  ],
  ['an option of root', 'POST', '/nodes/pve1/vzdump', 'vmid=101&script=/x', 'Parameter verification failed.'],
])('it is refused %s', async (_what, method, path, body, reason) => {
  expect(await api(method, path, body)).toMatchObject({ reason });
});

test.each([
  ['no credentials', '', 'No ticket'],
  ['a wrong secret', 'PVEAPIToken=felhom@pve!pve1=00000000-0000-0000-0000-000000000000', 'Authentication failed!'],
  ['a lower-case scheme', 'pveapitoken=a@pve!bc=1', 'No ticket'],
])('a 401 for %s is empty and held back', async (_what, authorization, reason) => {
  const began = performance.now();
  const got = await api('GET', '/version', undefined, authorization);
  expect(got).toMatchObject({ status: 401, reason, body: '' });
  expect(got.headers['content-type']).toBeUndefined();
  expect(performance.now() - began).toBeGreaterThanOrEqual(UNAUTHORIZED_MS);
});

test('595 comes before the work, 596 may come after it', async () => {
  pve.faults.add({ method: 'POST', path: '/vzdump', times: 1, effect: { answer: 595 } });
  const before = pve.world.tasks.length;
  expect(await api('POST', '/nodes/pve1/vzdump', 'vmid=101&storage=local')).toMatchObject({
    status: 595,
    reason: 'Connection refused',
    body: '',
  });
  expect(pve.world.tasks).toHaveLength(before);
  pve.faults.add({ method: 'POST', path: '/vzdump', times: 1, effect: { answer: 596, after: 'work' } });
  expect(await api('POST', '/nodes/pve1/vzdump', 'vmid=101&storage=local')).toMatchObject({ status: 596, body: '' });
  expect(pve.world.tasks).toHaveLength(before + 1);
  await pve.taskEnded(pve.world.tasks.at(-1)?.upid ?? '');
});

test('a reset connection has no answer', async () => {
  pve.faults.add({ path: '/version', times: 1, effect: { reset: true } });
  await expect(api('GET', '/version')).rejects.toThrow(/ECONNRESET|socket hang up/);
  expect(await api('GET', '/version')).toMatchObject({ status: 200 });
});

test('without pvedaemon only what pveproxy answers itself is left', async () => {
  pve.faults.pvedaemon = 'stopped';
  expect(await api('GET', '/nodes/pve1/storage/local/content')).toMatchObject({ status: 595 });
  expect(await api('GET', '/version')).toMatchObject({ status: 200 });
  pve.faults.pvedaemon = 'running';
});

test('without pmxcfs nothing that needs a login works', async () => {
  pve.faults.pmxcfs = 'stopped';
  expect(await api('GET', '/version')).toMatchObject({ status: 500, body: '' });
  pve.faults.pmxcfs = 'running';
});

test('a hung storage holds protected calls until the proxy gives up, and pvestatd hangs with ids only', async () => {
  const local = pve.world.storages.get('local');
  if (!local) throw new Error('no storage');
  local.hung = true;
  pve.faults.proxyTimeoutMs = 100;
  pve.faults.pvestatd = 'hanging';
  expect(await api('GET', '/nodes/pve1/storage')).toMatchObject({ status: 596 });
  expect(data(await api('GET', '/cluster/resources?type=vm'))).toEqual([
    { id: 'lxc/101', type: 'lxc', vmid: 101, node: 'pve1', status: 'unknown' },
  ]);
  Object.assign(local, { hung: false });
  Object.assign(pve.faults, { proxyTimeoutMs: 30_000, pvestatd: 'running' });
});

test('a restart refuses connections for a while, and tasks go on', async () => {
  const restarted = pve.faults.restart(150);
  await expect(api('GET', '/version')).rejects.toThrow();
  await restarted;
  expect(await api('GET', '/version')).toMatchObject({ status: 200 });
});

test('answers kept open that pvedaemon gave carry both Connection headers', async () => {
  const text = await sendRaw(
    pve.port,
    `GET /api2/json/nodes/pve1/lxc HTTP/1.1\r\nHost: x\r\nAuthorization: PVEAPIToken=${token}\r\n\r\n`,
    true,
  );
  expect(text).toMatch(/Connection: close\r\n/);
  expect(text).toMatch(/Connection: Keep-Alive\r\n/);
  expect(parseRaw(text).headers.server).toBe('pve-api-daemon/3.0');
});

test('plain HTTP is sent to HTTPS', async () => {
  const text = await sendRaw(pve.port, 'POST /api2/json/version HTTP/1.1\r\nHost: x\r\n\r\n', false);
  expect(parseRaw(text)).toMatchObject({ status: 308, headers: { location: `https://127.0.0.1:${pve.port}/api2/json/version` } });
});
