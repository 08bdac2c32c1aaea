/** `/host/metrics` over the whole way, from /proc and a Proxmox that stops answering: always 200, within four seconds. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BACKUP_STORAGE } from '../demo/host.ts';
import { type ProcessHost, startProcessHost } from './process-host.ts';

let host: ProcessHost;
beforeAll(async () => {
  host = await startProcessHost();
});
afterAll(() => host.close());

/** The kept readings are older than this afterwards. */
const KEPT_MS = 5500;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const timed = async (path: string) => {
  const began = performance.now();
  const { status, json } = await host.get(path);
  return { status, json, ms: performance.now() - began };
};

const target = (json: { data: { storage_targets: { name: string; total_bytes: number }[] } }) =>
  json.data.storage_targets.find(({ name }) => name === BACKUP_STORAGE);

describe('in the order of the trouble', { timeout: 60_000 }, () => {
  test('all answers: figures of this machine, and of every storage', async () => {
    const { status, json } = await timed('/host/metrics');
    expect(status).toBe(200);
    expect(json.data.stale).toEqual([]);
    expect(json.data.host.memory_percent).toBeGreaterThan(0);
    expect(target(json)).toMatchObject({ state: 'active', reachable: true, total_bytes: 64 * 1024 ** 3, used_fraction: 21 / 64 });
  });

  test('a storage hangs, and with it pvestatd: the last figures, named as old', async () => {
    const storage = host.pve.world.storages.get(BACKUP_STORAGE);
    if (!storage) throw new Error('no such storage');
    storage.hung = true;
    host.pve.faults.pvestatd = 'hanging';
    await pause(KEPT_MS);
    const { status, json, ms } = await timed('/host/metrics');
    expect(status).toBe(200);
    expect(ms).toBeLessThan(4000);
    expect(target(json)).toMatchObject({ state: 'stale', reachable: false, total_bytes: 64 * 1024 ** 3 });
    expect(host.pve.requests.filter(({ path }) => path.endsWith('/storage') && path.includes('/nodes/'))).toEqual([]);
    storage.hung = false;
    host.pve.faults.pvestatd = 'running';
  });

  test('Proxmox says nothing at all: the host is still measured, and other calls answer', async () => {
    host.pve.faults.add({ effect: { hang: true } });
    await pause(KEPT_MS);
    const [metrics, alive, status, due] = await Promise.all([
      timed('/host/metrics'),
      timed('/healthz'),
      timed('/backup/status'),
      timed('/backup/due'),
    ]);
    expect(metrics.status).toBe(200);
    expect(metrics.ms).toBeLessThan(4000);
    expect(metrics.json.data.host.memory_percent).toBeGreaterThan(0);
    expect(target(metrics.json)).toMatchObject({ state: 'stale', reachable: false });
    expect(metrics.json.data.stale.length).toBeGreaterThan(0);
    expect(alive.ms).toBeLessThan(1000);
    expect(status).toMatchObject({ status: 200, json: { ok: true } });
    expect(status.ms).toBeLessThan(1000);
    // Whether a backup can start is what Proxmox is asked for, unless that was found out within the last minute.
    expect(due).toMatchObject({ status: 200, json: { ok: true } });
    expect(due.ms).toBeLessThan(6000);
  });

  test('and it never said anything to this agent: what is known, and a sentence where nothing is', async () => {
    await host.kill();
    await host.restart();
    const [metrics, storage] = await Promise.all([timed('/host/metrics'), timed('/storage')]);
    expect(metrics.status).toBe(200);
    expect(metrics.ms).toBeLessThan(4000);
    expect(metrics.json.data.storage_targets).toEqual([]);
    expect(metrics.json.data.stale.length).toBeGreaterThan(0);
    expect(storage).toMatchObject({ status: 200, json: { ok: false, data: null, code: 'proxmox-unreachable' } });
    expect(storage.json.error).toMatch(/\.$/);
    host.pve.faults.clear();
  });
});
