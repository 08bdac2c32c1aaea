/** A stranger's client, with nothing but `demo.json`, makes every call of DESIGN.md section 1's first table. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Address, call, get } from '../stranger/client.ts';
import { type RunningDemo, removeDemo, startDemo } from './demo.ts';

let demo: RunningDemo;
let guest: Address & { vmid: number };

beforeAll(async () => {
  demo = startDemo(['--guests', '2']);
  await demo.printed('felhom demo is ready');
  const { agent, guests } = JSON.parse(readFileSync(join(demo.dir, 'demo.json'), 'utf8'));
  const [host, port] = agent.endpoint.split(':');
  guest = { host, port: Number(port), fingerprint: agent.fingerprint, token: guests[0].token, vmid: guests[0].vmid };
}, 60_000);

afterAll(async () => {
  demo.child.kill('SIGINT');
  expect(await demo.ended).toBe(0);
  await removeDemo(demo);
}, 30_000);

const untilEnded = async (): Promise<Record<string, unknown>> => {
  let revision = '';
  for (;;) {
    const status = await get(guest, `/backup/status?wait=8&after=${encodeURIComponent(revision)}`);
    revision = status.revision;
    if (status.phase !== 'running' && status.phase !== 'idle') return status;
  }
};

describe('every call of the table', () => {
  test('GET /storage lists the root volume as in the backup', async () => {
    const { vmid, mounts } = await get(guest, '/storage');
    expect(vmid).toBe(guest.vmid);
    expect(mounts).toEqual([
      { key: 'rootfs', storage: 'local-btrfs', mount_point: '/', class: expect.stringMatching(/^(fast|slow|)$/), backup: true },
    ]);
  });

  test('GET /host/metrics answers real figures of this machine', async () => {
    const { vmid, host, storage_targets } = await get(guest, '/host/metrics');
    expect(vmid).toBe(guest.vmid);
    expect(host.node).toBe('pve1');
    expect(host.memory_total_bytes).toBeGreaterThan(100e6);
    expect(host.memory_used_bytes).toBeGreaterThan(0);
    expect(host.uptime_seconds).toBeGreaterThan(0);
    expect(host.loadavg).toHaveLength(3);
    for (const load of host.loadavg) expect(load).toMatch(/^\d+\.\d\d$/);
    expect(host.cpu_percent).toBeGreaterThanOrEqual(0);
    expect(host.disk_total_bytes).toBeGreaterThan(0);
    const target = storage_targets.find((each: { name: string }) => each.name === 'usb-backup');
    expect(target).toMatchObject({
      type: 'dir',
      state: 'active',
      reachable: true,
      content: 'backup',
      smart: { health: 'UNKNOWN' },
    });
  });

  test('the demo took a backup; POST /backup {} makes another; both are followed to their end', async () => {
    const first = await untilEnded();
    expect(first).toMatchObject({ vmid: guest.vmid, phase: 'done', error: '', label: 'app', mode: 'snapshot' });
    expect(await get(guest, '/backup/due')).toMatchObject({ vmid: guest.vmid, due: false });

    const started = await call(guest, 'POST', '/backup', {});
    expect(started.status).toBe(202);
    expect(started.json.data).toMatchObject({ vmid: guest.vmid, phase: 'running' });
    const again = await call(guest, 'POST', '/backup', {});
    expect(again.status).toBe(202);
    expect(again.json.data.job_id).toBe(started.json.data.job_id);
    const second = await untilEnded();
    // Without a word on applications it is what the host itself has proved.
    expect(second).toMatchObject({ phase: 'done', job_id: started.json.data.job_id, error: '', label: 'filesystem' });
    expect(second.archive).toMatch(/^usb-backup:backup\/vzdump-lxc-101-/);
  }, 60_000);

  test('GET /disks tells of each drive what it is to the host, and why', async () => {
    const { vmid, disks, reason } = await get(guest, '/disks');
    expect(vmid).toBe(guest.vmid);
    expect(reason).toBe('');
    for (const disk of disks) {
      expect(disk).toMatchObject({
        ...{ name: expect.any(String), type: expect.stringMatching(/^(disk|part)$/), state: expect.any(String) },
        ...{ backing_device: expect.any(String), mount_path: expect.any(String), class: expect.stringMatching(/^(fast|slow|)$/) },
        ...{ role: expect.stringMatching(/^(system|backup|user-data)$/), role_reason: expect.stringMatching(/\.$/) },
        ...{ data_bearing: expect.any(Boolean), data_reason: expect.any(String) },
        durable_id: expect.stringMatching(/^(uuid:[0-9A-Fa-f-]{4,36}|byid:[A-Za-z0-9._:-]+|)$/),
      });
      for (const figure of [disk.total_bytes, disk.used_bytes, disk.used_fraction])
        expect(figure === null || Number.isFinite(figure)).toBe(true);
    }
    const roles = disks.map(({ role }: { role: string }) => role);
    for (const role of ['system', 'backup', 'user-data']) expect(roles).toContain(role);
  });

  test.each([
    ['/disks/assign', { uuid: '0b5f9d0e-6c1a-4a59-9f6f-0c8f6a2d1b3c', where: '/mnt/felhom/photos', fstype: 'ext4', options: '' }],
    ['/disks/eject', { where: '/mnt/felhom/photos' }],
  ])('POST %s of a drive that is not there is refused as 200 with a sentence', async (path, body) => {
    const { status, json } = await call(guest, 'POST', path, body);
    expect(status).toBe(200);
    expect(json).toMatchObject({ ok: false, code: expect.stringMatching(/^[a-z-]+$/) });
    expect(json.error).toMatch(/\.$/);
    if (path === '/disks/eject') expect(json.data).toEqual({ vmid: guest.vmid, ejected: false, dependent_guests: [] });
  });

  test.each([
    ['as it is meant', { device: 'sdb', fstype: 'ext4', confirmed: true, durable_id: 'byid:x' }],
    ['with confirmed as a number', { device: 'sdb', fstype: 'ext4', confirmed: 1, durable_id: '' }],
    ['with a device list', { device: ['sdb'], fstype: 'ext4', confirmed: true, durable_id: '' }],
    ['empty', {}],
  ])('POST /disks/format %s never looks like success', async (_how, body) => {
    const { status, json } = await call(guest, 'POST', '/disks/format', body);
    expect([409, 422]).toContain(status);
    expect(json).toMatchObject({ ok: false, data: { vmid: guest.vmid, formatted: false, data_bearing: true } });
    expect(json.data.reason).not.toBe('');
    expect(typeof json.data.device).toBe('string');
  });

  test('without a token, and with a wrong one, format still says that nothing was formatted', async () => {
    for (const token of [undefined, `fht_101_${'A'.repeat(43)}`]) {
      const { token: _own, ...nobody } = guest;
      const { status, json } = await call(token ? { ...nobody, token } : nobody, 'POST', '/disks/format', { device: 'sdb' });
      expect(status).toBe(401);
      expect(json.data).toMatchObject({ vmid: null, device: expect.any(String), formatted: false, data_bearing: true });
    }
  });
});

test('the files that the demo leaves are for its user only', async () => {
  const { statSync } = await import('node:fs');
  for (const file of ['demo.json', 'agent/proxmox.token', 'agent/state/tls.key']) {
    expect((statSync(join(demo.dir, file)).mode & 0o077).toString(8)).toBe('0');
  }
});
