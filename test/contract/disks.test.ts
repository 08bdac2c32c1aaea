/** Drives over the whole way: guests that ask over TLS, root over the socket and the command line, and nobody learns or does more than is theirs. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { agentProgram } from '#agent/cli/program';
import type { Records } from '#agent/disks/known/records';
import { newsOf } from '#agent/disks/known/remember';
import { type Answer, call, get } from '../stranger/client.ts';
import { evidenceOf, type HostSpec, seen, uuidOf } from '../unit/agent/disks/host.ts';
import { type DriveAgent, startDriveAgent } from './drive-agent.ts';
import { containerText, hostWith, manyDrives, sourcesOf } from './drive-sources.ts';

const SECRETS = ['Camera', 'SECRET', 'family', uuidOf('sdc1'), uuidOf('t:sdc')];

/** `sdc` is guest 101's; `sdd` is nobody's, `sde` has two file systems, `sdf` holds archives, `sdg` and `sdh` cannot be told apart. */
const HOST = hostWith(
  [
    { name: 'sdb', model: 'Backup', serial: 'B1' },
    { name: 'sdc', model: 'Camera', serial: 'SECRET', parts: [{ on: [{ type: 'ext4', label: 'family' }] }] },
    { name: 'sdd', model: 'Free', serial: 'D1' },
    { name: 'sde', model: 'Two', serial: 'E1', parts: [{ on: [{ type: 'ext4' }] }, { on: [{ type: 'ntfs' }] }] },
    { name: 'sdf', model: 'Old', serial: 'F1' },
    { name: 'sdg', model: 'Twin', serial: 'T1', wwn: '0x5000c500a1b2c3d4' },
    { name: 'sdh', model: 'Twin', serial: 'T1', wwn: '0x5000c500a1b2c3d4' },
    { name: 'sdi', model: 'Dead', serial: 'I1' },
  ],
  {
    storages: [{ type: 'dir', id: 'usb', path: '/mnt/usb', content: 'backup' }],
    looks: { sdf1: 'vzdump' },
    notAnswering: ['sdi'],
  },
);
HOST.mounts?.push({ point: '/mnt/usb', from: 'sdb1' });

const INSTANCE = 'net:bc:24:11:00:01:01';

const ownedBy =
  (name: string, instance = INSTANCE) =>
  async (records: Records) => {
    const { inventory } = seen(evidenceOf(HOST));
    await records.note(inventory);
    const { added } = newsOf(inventory, [], 0);
    const id = added.find((record) => record.name === name)?.id ?? 0;
    await records.setOwner(id, { vmid: 101, instance, since: 1_700_000_000_000 }, 'guest 101');
  };

let host: HostSpec = HOST;
let agent: DriveAgent;

const disksOf = async (vmid: number) => (await agent.get('/disks', vmid)).json.data.disks as Record<string, unknown>[];
const diskNamed = async (name: string, vmid = 101) => (await disksOf(vmid)).find((disk) => disk.name === name);

/** Whoever asks after a deed, even one that was refused, is not answered with an older look. */
const lookAgain = () => agent.post('/disks/eject', { where: '/mnt/felhom/none' });

const felhom = async (...args: string[]) => {
  const ran = { status: 0, out: '', err: '' };
  const io = {
    out: (line: string) => {
      ran.out += `${line}\n`;
    },
    err: (line: string) => {
      ran.err += `${line}\n`;
    },
    exit: (status: number) => {
      ran.status = status;
    },
  };
  await agentProgram(io)
    .parseAsync([...args, '--config', agent.configFile], { from: 'user' })
    .catch((error: Error) => {
      io.err(error.message);
      io.exit(1);
    });
  return ran;
};

describe('a host with drives of every kind', () => {
  beforeAll(async () => {
    host = HOST;
    agent = await startDriveAgent({
      drives: sourcesOf(() => host),
      disks: { mount_root: '/mnt/felhom', guests: [101, 102] },
      seed: ownedBy('sdc'),
    });
  });
  afterAll(() => agent.close());

  test('each is listed with its role and why, in the contract that clients read', async () => {
    const data = await get(agent.address(), '/disks');
    expect(data).toMatchObject({ vmid: 101, reason: '' });
    const roles = Object.fromEntries(data.disks.map((disk: { name: string; role: string }) => [disk.name, disk.role]));
    expect(roles).toMatchObject({
      sda: 'system',
      sdb: 'backup',
      sdc: 'user-data',
      sdd: 'user-data',
      sdf: 'backup',
      sdi: 'system',
    });
    expect(await diskNamed('sdb')).toMatchObject({ role_reason: expect.stringContaining('usb'), state: 'in-use', owner: '' });
    expect(await diskNamed('sdc')).toMatchObject({ owner: 'yours', durable_id: `uuid:${uuidOf('sdc1')}`, label: 'family' });
    expect(await diskNamed('sdd')).toMatchObject({ owner: 'free', not_assignable: '' });
    expect(await diskNamed('sde')).toMatchObject({ durable_id: `uuid:${uuidOf('sde1')}` });
    expect(await diskNamed('sdi')).toMatchObject({ state: 'not-answering' });
  });

  test('T3: guest 102 sees that there is a drive of another guest, its size, and nothing else of it', async () => {
    const disk = await diskNamed('sdc', 102);
    expect(disk).toMatchObject({
      name: 'sdc',
      total_bytes: 500_000_000_000,
      owner: 'not-yours',
      durable_id: '',
      backing_device: '',
    });
    const { text } = await agent.get('/disks', 102);
    for (const secret of SECRETS) expect(text).not.toContain(secret);
    expect((await agent.get('/disks', 101)).text).toContain('SECRET');
  });

  const assign = (uuid: string, more: object = {}, vmid = 101) =>
    agent.post('/disks/assign', { uuid, where: '/mnt/felhom/x', fstype: 'ext4', options: '', ...more }, vmid);

  const isRefusal = ({ status, json }: Answer, code: string, data: unknown = null) => {
    expect([status, json.ok, json.code, json.data]).toEqual([200, false, code, data]);
    expect(json.error).toMatch(/\w.*\.$/);
  };

  test.each<[string, () => Promise<Answer>, string]>([
    ["another guest's drive", () => assign(uuidOf('sdc1'), {}, 102), 'not-yours'],
    ['the system', () => assign(uuidOf('sda')), 'drive-protected'],
    ['the backup drive', () => assign(uuidOf('sdb1')), 'drive-protected'],
    ['a drive on which archives were seen', () => assign(uuidOf('sdf1')), 'drive-protected'],
    ['a drive that does not answer', () => assign(uuidOf('sdi1')), 'drive-protected'],
    ['a twin', () => assign(uuidOf('sdg1')), 'drive-ambiguous'],
    ['a UUID that nothing has', () => assign('11111111-2222-3333-4444-555555555555'), 'drive-not-found'],
    ['ntfs', () => assign(uuidOf('sde2'), { fstype: 'ntfs' }), 'filesystem-not-supported'],
    ['another type than it has', () => assign(uuidOf('sdd1'), { fstype: 'xfs' }), 'filesystem-not-supported'],
    ['a place outside the mount root', () => assign(uuidOf('sdd1'), { where: '/mnt/felhom/../etc' }), 'mount-point-refused'],
    ['an option', () => assign(uuidOf('sdd1'), { options: 'suid' }), 'mount-option-refused'],
    ['a UUID that is a path', () => assign('../by-label/x'), 'invalid-request'],
    ['a number for a UUID', () => assign(7 as never), 'invalid-request'],
  ])('assign %s: a 200 that says why, and nothing was done', async (_what, act, code) => {
    isRefusal(await act(), code);
    expect(
      (await agent.admin('GET', '/drives')).drives
        .flatMap(({ filesystems }: { filesystems: { vmid: unknown }[] }) => filesystems.map(({ vmid }) => vmid))
        .filter(Boolean),
    ).toEqual([]);
  });

  test.each([
    ['of nothing', '/mnt/felhom/x', 101],
    ['of the system', '/', 101],
    ['of the backup drive', '/mnt/usb', 101],
    ["of another guest's", '/mnt/felhom/photos', 102],
  ])('eject %s: a 200 that says so, with data', async (_what, where, vmid) => {
    isRefusal(await agent.post('/disks/eject', { where }, vmid), 'not-assigned', { vmid, ejected: false, dependent_guests: [] });
  });

  test('a guest of the same number that is another guest inherits nothing', async () => {
    host = { ...HOST, guests: { ...HOST.guests, ct101: containerText(101, 'BC:24:11:FF:FF:01') } };
    await lookAgain();
    const disk = await diskNamed('sdc');
    expect(disk).toMatchObject({ owner: 'not-yours', durable_id: '', serial: '' });
    expect(disk?.not_assignable).toMatch(/former guest.*disks release/);
    isRefusal(await assign(uuidOf('sdc1')), 'drive-unknown-owner');
    host = HOST;
    await lookAgain();
    expect(await diskNamed('sdc')).toMatchObject({ owner: 'yours' });
  });

  test('a drive that is pulled out stays listed for its owner only, and both are told that something changed', async () => {
    await disksOf(101);
    const streams = await Promise.all([agent.listen(101), agent.listen(102)]);
    const told = streams.map((stream) => stream.next('disks'));
    host = { ...HOST, drives: HOST.drives.filter(({ name }) => name !== 'sdc') };
    await lookAgain();
    expect(await Promise.all(told)).toEqual([{ vmid: 101 }, { vmid: 102 }]);
    for (const stream of streams) stream.end();
    expect(await diskNamed('sdc')).toMatchObject({ state: 'unplugged', owner: 'yours', serial: 'SECRET' });
    expect(await diskNamed('sdc', 102)).toBeUndefined();
    host = HOST;
    await lookAgain();
  });

  test('root sees everything, in lines and as JSON', async () => {
    const { out, status } = await felhom('disks', 'list');
    expect(status).toBe(0);
    expect(out).toMatch(/^sdc +500\.0 GB +Camera +SECRET +user-data +guest 101 +available +yes/m);
    const shown = await felhom('disks', 'show', 'SECRET');
    expect(shown.out).toMatch(/^owner +guest 101, since 2023-11-14T22:13:20Z$/m);
    expect(shown.out).toMatch(new RegExp(`^holds +sdc1 ext4 "family" ${uuidOf('sdc1')}`, 'm'));
    const { drive } = JSON.parse((await felhom('disks', 'show', '/dev/sdf', '--json')).out);
    expect(drive).toMatchObject({
      name: 'sdf',
      role: 'backup',
      reasons: [{ role: 'backup', lasting: true }, { lasting: false }],
    });
    expect(await felhom('disks', 'show', 'T1')).toMatchObject({ status: 1, err: expect.stringContaining('sdg, sdh') });
    expect(await felhom('disks', 'show', 'nothing')).toMatchObject({
      status: 1,
      err: expect.stringContaining('no drive "nothing"'),
    });
  });

  test('root releases and demotes, and says what came of it', async () => {
    expect(await felhom('disks', 'release', 'sdc')).toMatchObject({
      status: 0,
      err: expect.stringContaining("sdc is nobody's now"),
    });
    expect(await diskNamed('sdc', 102)).toMatchObject({ owner: 'free', durable_id: `uuid:${uuidOf('sdc1')}` });
    // It still carries archives: what is seen now counts.
    const demoted = await felhom('disks', 'demote', 'sdf');
    expect(demoted).toMatchObject({ status: 0, err: expect.stringContaining('Its role now is backup') });
    host = { ...HOST, looks: {} };
    await lookAgain();
    expect(await diskNamed('sdf')).toMatchObject({ role: 'backup' });
    await felhom('disks', 'demote', 'sdf');
    expect(await diskNamed('sdf')).toMatchObject({ role: 'user-data' });
    host = HOST;
  });
});

describe('what could get in the way of an answer', () => {
  afterEach(() => agent.close());

  test('200 drives are all listed within the contract', async () => {
    const many = hostWith(manyDrives(200));
    agent = await startDriveAgent({ drives: sourcesOf(() => many), disks: { mount_root: '/mnt/felhom', guests: [101] } });
    const { text, json } = await agent.get('/disks');
    expect(json.data).toMatchObject({ reason: '', disks: { length: 201 } });
    expect(Buffer.byteLength(text)).toBeLessThan(512 * 1024);
    expect((await agent.admin('GET', '/drives')).drives).toHaveLength(201);
  });

  test("T41: a source that hangs delays one answer in many, and makes every drive the host's", { timeout: 60_000 }, async () => {
    const well = hostWith(manyDrives(3));
    const sources = sourcesOf(() => well);
    let hung = false;
    /** As gather.ts does: it waits for each source three seconds at most. */
    const gather = async () => {
      const gathered = await sources.gather();
      if (!hung) return gathered;
      await new Promise((resolve) => setTimeout(resolve, 3_000));
      return { ...gathered, lvm: { known: false, why: 'LVM: its program still hangs.' } as const };
    };
    agent = await startDriveAgent({ drives: { ...sources, gather }, disks: { mount_root: '/mnt/felhom', guests: [101] } });
    const roles = async () => (await disksOf(101)).map(({ role }) => role);
    expect(await roles()).toEqual(['user-data', 'user-data', 'user-data', 'system']);
    hung = true;
    await new Promise((resolve) => setTimeout(resolve, 5_100));
    const times: Record<string, number[]> = {};
    for (let each = 0; each < 100; each += 1) {
      for (const path of each % 10 === 0 ? ['/disks', '/healthz', '/backup/status'] : ['/disks']) {
        const began = performance.now();
        expect((await agent.get(path)).json.ok).toBe(true);
        times[path] = [...(times[path] ?? []), performance.now() - began];
      }
    }
    expect(Math.max(...(times['/disks'] ?? []))).toBeLessThan(4_000);
    expect(Math.max(...(times['/healthz'] ?? []), ...(times['/backup/status'] ?? []))).toBeLessThan(1_000);
    expect(times['/disks']?.filter((ms) => ms > 1_000).length).toBeLessThanOrEqual(3);
    expect(await roles()).toEqual(['system', 'system', 'system', 'system']);
    const answer = await agent.get('/disks');
    expect(answer.json.data.reason).toMatch(/LVM/);
    expect(answer.json.data.disks[1].role_reason).toMatch(/cannot be determined.*LVM/);
  });

  test('a look that never ends: a sentence while nothing is known, never an empty list; metrics and backups answer', {
    timeout: 30_000,
  }, async () => {
    const gather = () => new Promise<never>(() => undefined);
    agent = await startDriveAgent({ drives: { ...sourcesOf(() => HOST), gather } });
    const timed = async (path: string) => {
      const began = performance.now();
      const { status, json } = await agent.get(path);
      return { status, ok: json.ok, code: json.code, data: json.data, inTime: performance.now() - began < 4_000 };
    };
    expect(await timed('/disks')).toEqual({ status: 200, ok: false, code: 'not-known', data: null, inTime: true });
    for (const path of ['/host/metrics', '/healthz', '/backup/status', '/storage'])
      expect(await timed(path)).toMatchObject({ status: 200, ok: true, inTime: true });
  });

  test('what the agent cannot see turns every deed off, and says so', async () => {
    const blind = { run: async () => 'The agent cannot see the swap space; so it does nothing to drives.' };
    agent = await startDriveAgent({
      drives: { ...sourcesOf(() => HOST), selfTest: blind },
      disks: { mount_root: '/mnt/felhom', guests: [101] },
    });
    await expect.poll(async () => (await agent.admin('GET', '/drives')).writes_off).toMatch(/swap space/);
    const answer = await agent.post('/disks/assign', { uuid: uuidOf('sdd1'), where: '/mnt/felhom/x', fstype: 'ext4' });
    expect(answer).toMatchObject({
      status: 200,
      json: { ok: false, code: 'drive-writes-off', error: expect.stringMatching(/swap space/) },
    });
    expect(await diskNamed('sdd')).toMatchObject({ role: 'user-data', not_assignable: expect.stringMatching(/swap space/) });
    expect((await felhom('disks', 'list')).err).toMatch(/No drive is changed: .*swap space/);
  });

  test('what a drive calls itself moves no terminal', async () => {
    const evil = '\u001b]0;owned\u0007\u202e\u009b2J';
    const nasty = hostWith([
      { name: 'sdb', model: `Disk${evil}`, serial: `S${evil}`, parts: [{ on: [{ type: 'ext4', label: evil }] }] },
    ]);
    agent = await startDriveAgent({ drives: sourcesOf(() => nasty), disks: { mount_root: '/mnt/felhom', guests: [101] } });
    const texts = [await felhom('disks', 'list'), await felhom('disks', 'list', '--json'), await felhom('disks', 'show', 'sdb')];
    for (const { status, out, err } of texts) {
      expect(status).toBe(0);
      for (const line of `${out}${err}`.trimEnd().split('\n')) expect(line).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    }
    expect((await agent.get('/disks')).text).not.toMatch(/\\u001b|\\u009b|\u009b|\u202e/);
  });

  test('a token without the scope, and none at all', async () => {
    agent = await startDriveAgent({ drives: sourcesOf(() => HOST) });
    const nobody = { ...agent.address(), token: '' };
    for (const [method, path, status] of [
      ['GET', '/disks', 401],
      ['POST', '/disks/assign', 401],
      ['POST', '/disks/eject', 401],
      ['POST', '/disks/format', 401],
    ] as const) {
      const answer = await call(nobody, method, path, method === 'POST' ? {} : undefined);
      expect([path, answer.status, answer.json.ok]).toEqual([path, status, false]);
    }
  });
});
