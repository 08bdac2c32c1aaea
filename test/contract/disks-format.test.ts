/** POST /disks/format over the whole way, as the clients in the field read it: what it takes, who may, and that a refusal never looks like success. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Records } from '#agent/disks/known/records';
import { newsOf } from '#agent/disks/known/remember';
import type { Store } from '#agent/ports/store';
import { type Answer, get } from '../stranger/client.ts';
import { type DriveSpec, evidenceOf, type HostSpec, seen, uuidOf } from '../unit/agent/disks/host.ts';
import { type DriveAgent, startDriveAgent } from './drive-agent.ts';
import { containerText, hostWith, sourcesOf } from './drive-sources.ts';
import { BOOT, type FakeProgram, fakeProgram, formatted } from './format-program.ts';

/** `sdb` holds backups, `sdc` is guest 101's, `sdd` is nobody's and `sde` is blank; the others stand in somebody's way. */
const HOST = hostWith(
  [
    { name: 'sdb', model: 'Backup', serial: 'B1' },
    { name: 'sdc', model: 'Camera', serial: 'SECRET', parts: [{ on: [{ type: 'ext4', label: 'family' }] }] },
    { name: 'sdd', model: 'Free', serial: 'D1', parts: [{ on: [{ type: 'ntfs' }] }, { on: [{ type: 'exfat' }] }] },
    { name: 'sde', model: 'Blank', serial: 'E1', parts: [] },
    { name: 'sdf', model: 'Given', serial: 'F1' },
    { name: 'sdg', model: 'Twin', serial: 'T1', wwn: '0x5000c500a1b2c3d4' },
    { name: 'sdh', model: 'Twin', serial: 'T1', wwn: '0x5000c500a1b2c3d4' },
    { name: 'sdi', model: 'Dead', serial: 'I1' },
    { name: 'sdj', model: 'Small', serial: 'J1', gb: 0.01 },
    { name: 'sdk', model: 'Claimed', serial: 'K1' },
    { name: 'sdl', model: 'Mounted', serial: 'L1' },
  ],
  {
    storages: [{ type: 'dir', id: 'usb', path: '/mnt/usb', content: 'backup' }],
    guests: { ct101: containerText(101), ct102: containerText(102), 105: 'scsi1: /dev/sdf\nsmbios1: uuid=0000-1\n' },
    notAnswering: ['sdi'],
    mounts: [
      { point: '/', from: 'sda' },
      { point: '/mnt/usb', from: 'sdb1' },
    ],
  },
);

const INSTANCE = 'net:bc:24:11:00:01:01';

/** `sdc` belongs to guest 101, and `sde` was read to its end. */
const seed = async (records: Records, store: Store): Promise<void> => {
  const { inventory, drive } = seen(evidenceOf(HOST));
  await records.note(inventory);
  const id = newsOf(inventory, [], 0).added.find(({ name }) => name === 'sdc')?.id ?? 0;
  await records.setOwner(id, { vmid: 101, instance: INSTANCE, since: 1_700_000_000_000 }, 'guest 101');
  const { diskseq, sizeBytes } = drive('sde').device;
  await store.write({
    sql: 'INSERT INTO blank_proofs (boot_id, diskseq, size_bytes, sectors_written, blank, finished_at) VALUES (?, ?, ?, 0, 1, 0)',
    values: [BOOT, diskseq, sizeBytes],
  });
};

let host: HostSpec;
let program: FakeProgram;
let agent: DriveAgent;

/** LVM does not answer. */
let isHalf: boolean;

/** Drives that were read though nothing was plugged in since: one that sleeps is woken by it. */
const readAnew: string[] = [];

const start = (more: Parameters<typeof startDriveAgent>[0] = {}): Promise<DriveAgent> => {
  const sources = sourcesOf(() => host);
  const lvm = { known: false, why: 'It hangs.' } as const;
  const gather = async () => ({ ...(await sources.gather()), ...(isHalf ? { lvm } : {}) });
  const probes = { ...sources.probes, again: async ({ name }: { name: string }) => void readAnew.push(name) };
  return startDriveAgent({
    drives: { ...sources, gather, probes, driveFormat: program.driveFormat, inUse: { holders: async () => [] } },
    disks: { mount_root: '/mnt/felhom', guests: [101, 102] },
    ...more,
  });
};

const untilReady = (one: DriveAgent) => vi.waitUntil(async () => (await one.admin('GET', '/drives')).writes_off === '', 10_000);

let shared: DriveAgent;

beforeAll(async () => {
  host = HOST;
  isHalf = false;
  program = fakeProgram((act) => {
    host = act(host);
  });
  shared = await start({ seed });
  await untilReady(shared);
});
afterAll(() => shared.close());

beforeEach(() => {
  agent = shared;
  host = HOST;
  isHalf = false;
  program.reset();
});

/** With an agent that knows of no format yet. */
const anew = async (act: () => Promise<void>): Promise<void> => {
  agent = await start({ seed });
  try {
    await untilReady(agent);
    await act();
  } finally {
    await agent.close();
  }
};

const change = (name: string, facts: Partial<DriveSpec>): void => {
  host = { ...host, drives: host.drives.map((drive) => (drive.name === name ? { ...drive, ...facts } : drive)) };
};

/** Each is plugged in anew, and gets the other's name. */
const swap = (one: string, other: string): void => {
  const named = (name: string) => (name === one ? other : name === other ? one : name);
  host = { ...host, drives: host.drives.map((drive) => ({ ...drive, name: named(drive.name) })) };
};

const format = (device: string, more: object = {}, vmid = 101): Promise<Answer> =>
  agent.post('/disks/format', { device, fstype: 'ext4', ...more }, vmid);

/** Clients read `data` at any status, and take a 403 for one that shows the way forward. */
const isRefusal = ({ status, json }: Answer, device: string, code: string, vmid = 101): void => {
  expect([json.ok, json.code]).toEqual([false, code]);
  expect([403, 409, 422]).toContain(status);
  expect(json.data).toMatchObject({ formatted: false, data_bearing: true, reason: json.error, vmid });
  expect(json.error).toMatch(/^[\w"].* .*\.$/);
  expect(json.error).not.toMatch(/secret words|\/mnt|\/etc/);
  if (status === 403) expect(json.data.needs_confirmation === true || json.data.pending_op?.id !== undefined).toBe(true);
  else expect(json.data).toEqual({ vmid, device, formatted: false, data_bearing: true, reason: json.error });
};

const idFor = async (device: string, more: object = {}, vmid = 101): Promise<string> => {
  const answer = await format(device, more, vmid);
  isRefusal(answer, device, 'needs-confirmation', vmid);
  return answer.json.data.durable_id;
};

const diskNamed = async (name: string, vmid = 101) =>
  (await get(agent.address(vmid), '/disks')).disks.find((disk: { name: string }) => disk.name === name);

describe('what it takes', () => {
  test('a blank drive is formatted at once, and is the guest’s', async () => {
    const stream = await agent.listen();
    const told = stream.next('format');
    const answer = await format('/dev/sde');
    expect(answer).toMatchObject({
      status: 200,
      json: { ok: true, data: { vmid: 101, device: 'sde', formatted: true, data_bearing: false } },
    });
    const { job_id, durable_id } = answer.json.data;
    expect(program.written).toEqual(['sde ext4']);
    expect(program.orders[0]).toMatchObject({ device: '/dev/sde', diskseq: 5, root: { uid: 100_000, gid: 100_000 } });
    expect(await told).toMatchObject({ job_id, state: 'running' });
    stream.end();
    expect((await agent.get(`/jobs/${job_id}`)).json.data).toMatchObject({
      state: 'done',
      durable_id,
      permitted_by: 'blank',
      device: 'sde',
    });
    expect(await diskNamed('sde')).toMatchObject({ owner: 'yours', durable_id, not_assignable: '', role: 'user-data' });
    expect(await diskNamed('sde', 102)).toMatchObject({ owner: 'not-yours', durable_id: '' });
    // T40: asked again, it writes nothing.
    expect((await format('sde')).json.data).toMatchObject({ formatted: true, job_id });
    expect(program.written).toHaveLength(1);
  });

  test('a drive with data is confirmed by the id of its refusal, once', async () => {
    const refused = await format('sdc');
    isRefusal(refused, 'sdc', 'needs-confirmation');
    expect(refused.json.error).toMatch(/Camera, serial number SECRET.*"family"/);
    const { durable_id, device } = refused.json.data;
    expect([device, durable_id.startsWith('byid:user-data.Camera.SECRET.')]).toEqual(['/dev/sdc', true]);
    const done = await format('sdc', { confirmed: true, durable_id });
    expect(done.json.data).toMatchObject({ formatted: true });
    expect(program.written).toEqual(['sdc ext4']);
    // The same request joins what it began; for any other it is used up.
    expect((await format('sdc', { confirmed: true, durable_id })).json.data.job_id).toBe(done.json.data.job_id);
    isRefusal(await format('sdc', { confirmed: true, durable_id, fstype: 'exfat' }), 'sdc', 'needs-confirmation');
    change('sdc', { parts: [{ on: [{ type: 'ext4', uuid: uuidOf('other') }] }] });
    isRefusal(await format('sdc', { confirmed: true, durable_id }), 'sdc', 'needs-confirmation');
    expect(program.written).toHaveLength(1);
  });

  test('T40: what was made on a drive is not told of another that carries a copy of it', () =>
    anew(async () => {
      const { durable_id } = (await format('sde')).json.data;
      const copy = (drive: DriveSpec) => formatted(drive, 'ext4', durable_id.slice('uuid:'.length));
      host = { ...host, drives: host.drives.map((drive) => (drive.name === 'sdd' ? copy(drive) : drive)) };
      isRefusal(await format('sdd'), 'sdd', 'needs-confirmation');
      expect((await format('sde')).json.data).toMatchObject({ formatted: true, durable_id });
      expect(program.written).toEqual(['sde ext4']);
    }));

  test.each([1, 'true', [true], null, undefined, false, 0])('T45: confirmed as %j never formats', async (confirmed) => {
    const durable_id = await idFor('sdc');
    const answer = await format('sdc', { confirmed, durable_id });
    expect([403, 422]).toContain(answer.status);
    isRefusal(answer, 'sdc', answer.status === 403 ? 'needs-confirmation' : 'invalid-request');
    expect(program.written).toEqual([]);
  });

  test.each<[string, () => Promise<[string, object, number]> | [string, object, number]]>([
    ['none', () => ['sdc', {}, 101]],
    ["the listing's", async () => ['sdc', { durable_id: (await diskNamed('sdc')).durable_id }, 101]],
    ["another drive's", async () => ['sdc', { durable_id: await idFor('sdd') }, 101]],
    ["another file system's", async () => ['sdc', { durable_id: await idFor('sdc', { fstype: 'exfat' }) }, 101]],
    ["another guest's", async () => ['sdd', { durable_id: await idFor('sdd', {}, 102) }, 101]],
    [
      'one for the drive before it changed',
      async () => {
        const durable_id = await idFor('sdc');
        change('sdc', { parts: [{ on: [{ type: 'ext4', label: 'family' }] }, { on: [{ type: 'ext4' }] }] });
        return ['sdc', { durable_id }, 101];
      },
    ],
    [
      'one for its name before it was replugged',
      async () => {
        const durable_id = await idFor('sdc');
        const [first, second, third, ...rest] = host.drives;
        if (first && second && third)
          host = { ...host, drives: [first, second, { ...third, name: 'sdc', serial: 'OTHER' }, ...rest] };
        return ['sdc', { durable_id }, 101];
      },
    ],
  ])('T15: confirmed with %s id asks again, and nothing is written', async (_whose, make) => {
    const [device, more, vmid] = await make();
    const answer = await format(device, { confirmed: true, ...more }, vmid);
    isRefusal(answer, device, 'needs-confirmation', vmid);
    expect(program.orders).toEqual([]);
  });

  test('a partition’s name formats nothing: the whole drive is to be confirmed', async () => {
    const refused = await format('sdd1', { confirmed: true });
    isRefusal(refused, 'sdd1', 'needs-confirmation');
    expect(refused.json.data).toMatchObject({ device: '/dev/sdd' });
    expect(refused.json.error).toMatch(/sdd1 is a part of sdd/);
    const { durable_id } = refused.json.data;
    isRefusal(await format('sdd1', { confirmed: true, durable_id }), 'sdd1', 'needs-confirmation');
    expect(program.written).toEqual([]);
    expect((await format('sdd', { confirmed: true, durable_id })).json.data).toMatchObject({ formatted: true, device: 'sdd' });
  });

  test.each([
    ['the system', 'sda', 'system'],
    ['the backup drive', 'sdb', 'backup'],
    ['a part of the backup drive', 'sdb1', 'backup'],
  ])('%s: only the operator’s signature permits it', async (_what, device, role) => {
    const refused = await format(device, { confirmed: true });
    isRefusal(refused, device, 'operator-needed');
    const { pending_op, device: whole } = refused.json.data;
    expect(pending_op).toMatchObject({
      op: 'storage_wipe',
      fstype: 'ext4',
      durable_id: expect.stringContaining(`byid:${role}.`),
    });
    expect(whole).toBe(`/dev/${device.slice(0, 3)}`);
    // The same question is the same operation, and its id confirms nothing.
    const again = await format(device, { confirmed: true, durable_id: pending_op.durable_id });
    isRefusal(again, device, 'operator-needed');
    expect(again.json.data.pending_op).toEqual(pending_op);
    expect(program.orders).toEqual([]);
  });

  test('the program that makes it is missing, or it is no file system for drives', async () => {
    isRefusal(await format('sde', { fstype: 'xfs' }), 'sde', 'filesystem-not-supported');
    for (const fstype of ['ntfs', 'ext4 -F', 'EXT4', 'swap'])
      isRefusal(await format('sde', { fstype }), 'sde', 'filesystem-not-supported');
    expect(program.orders).toEqual([]);
  });
});

describe('who may', () => {
  test('T3: another guest learns nothing, opens nothing, and what one confirmed the other cannot use', async () => {
    const durable_id = await idFor('sdc');
    for (const more of [{}, { confirmed: true, durable_id }]) {
      const answer = await format('sdc', more, 102);
      isRefusal(answer, 'sdc', 'not-yours', 102);
      expect(answer.text).not.toMatch(/Camera|SECRET|family/);
    }
    const { job_id } = (await format('sdc', { confirmed: true, durable_id })).json.data;
    expect(await agent.get(`/jobs/${job_id}`, 102)).toMatchObject({ status: 404, json: { code: 'not-found' } });
    expect((await agent.admin('GET', `/format?id=${job_id}`)).vmid).toBe(101);
  });

  test('T3: no guest can have a drive read, and woken, that is another’s', async () => {
    readAnew.length = 0;
    isRefusal(await format('sdc', {}, 102), 'sdc', 'not-yours', 102);
    expect(readAnew).toEqual([]);
    isRefusal(await format('sdc'), 'sdc', 'needs-confirmation');
    expect(readAnew).toEqual(['sdc']);
  });

  test('T3: a guest of the same number that is another guest formats nothing, and is told of nothing that was', async () => {
    const durable_id = await idFor('sdc');
    const done = { confirmed: true, durable_id: await idFor('sdd') };
    const { job_id: job, ...first } = (await format('sdd', done)).json.data;
    expect(first).toMatchObject({ formatted: true });
    expect((await agent.get(`/jobs/${job}`)).json.data).toMatchObject({ job_id: job, state: 'done' });
    host = { ...host, guests: { ...HOST.guests, ct101: containerText(101, 'BC:24:11:FF:FF:01') } };
    isRefusal(await format('sdc', { confirmed: true, durable_id }), 'sdc', 'drive-unknown-owner');
    isRefusal(await format('sdd', done), 'sdd', 'drive-unknown-owner');
    expect(program.orders).toHaveLength(1);
    expect((await agent.get(`/jobs/${job}`)).json).toMatchObject({ ok: false, code: 'not-found' });
  });

  test('a guest that may not take free drives asks for no signature either', async () => {
    agent = await start({ disks: { mount_root: '/mnt/felhom', guests: [102] } });
    try {
      await untilReady(agent);
      for (const device of ['sda', 'sdb', 'sdd', 'sde']) isRefusal(await format(device), device, 'not-yours');
      expect((await agent.get('/ops')).json.data.ops).toEqual([]);
    } finally {
      await agent.close();
    }
  });
});

describe('what stands in the way', () => {
  test.each([
    ['one that there is not', 'sdz', 'drive-not-found'],
    ['a path', '../sda', 'invalid-request'],
    ['a path below /dev', '/dev/disk/by-id/x', 'invalid-request'],
    ['an option', '-sda', 'invalid-request'],
    ['nothing', '', 'invalid-request'],
    ['a twin', 'sdg', 'drive-ambiguous'],
    ['one that does not answer', 'sdi', 'drive-not-answering'],
    ['one that is given to another guest', 'sdf', 'drive-in-use'],
    ['one that is too small', 'sdj', 'drive-too-small'],
  ])('T21: %s', async (_what, device, code) => {
    for (const confirmed of [undefined, true]) isRefusal(await format(device, { confirmed }), device, code);
    expect(program.orders).toEqual([]);
  });

  test('T21: one that is mounted, or connected', async () => {
    host = { ...host, mounts: [...(HOST.mounts ?? []), { point: '/media/x', from: 'sdl1', host: false }] };
    const { status, json } = await format('sdl');
    expect([status, json.code === 'drive-in-use' || json.code === 'operator-needed']).toEqual([status, true]);
    isRefusal({ status, json } as Answer, 'sdl', json.code);
  });

  test.each<[string, Partial<HostSpec>]>([
    ['could not be looked at', { probes: { sdd: 'failed' } }],
    ['was not looked at yet', { probes: { sdd: 'none' } }],
    ['is asleep', { probes: { sdd: 'none' }, asleep: ['sdd'] }],
    ['was not looked into yet', { looks: { sdd1: 'none' } }],
  ])('T21: of one that %s nobody is asked to decide anything', async (_what, state) => {
    const { data: before } = (await agent.get('/ops')).json;
    host = { ...host, ...state };
    isRefusal(await format('sdd'), 'sdd', 'not-known');
    expect((await agent.get('/ops')).json.data).toEqual(before);
  });

  test('T21: a source that is missing makes no operation, whatever the drive', async () => {
    isHalf = true;
    for (const device of ['sda', 'sdb', 'sdc', 'sde']) isRefusal(await format(device), device, 'not-known');
  });

  test('T21: what the agent cannot see turns it off', async () => {
    const selfTest = { run: async () => 'The agent cannot see the swap space.' };
    agent = await start({ drives: { ...sourcesOf(() => host), selfTest, driveFormat: program.driveFormat } });
    try {
      for (const device of ['sda', 'sdc', 'sde']) isRefusal(await format(device), device, 'drive-writes-off');
    } finally {
      await agent.close();
    }
  });

  test.each([
    ['changed', 'drive-not-found'],
    ['busy', 'drive-in-use'],
    ['locked', 'drive-in-use'],
    ['io', 'drive-not-answering'],
    ['internal', 'format-failed'],
  ] as const)('T21: the drive cannot be had (%s): refused, and the confirmation is not used up', async (failure, code) => {
    const durable_id = await idFor('sdc');
    program.failHold = failure;
    isRefusal(await format('sdc', { confirmed: true, durable_id }), 'sdc', code);
    // The same words again.
    isRefusal(await format('sdc', { confirmed: true, durable_id }), 'sdc', code);
    expect(program.written).toEqual([]);
    program.failHold = null;
    if (failure !== 'io') return;
    expect((await format('sdc', { confirmed: true, durable_id })).json.data).toMatchObject({ formatted: true });
  });

  test.each<[string, () => void, string]>([
    [
      'it carries something else',
      () => change('sdk', { parts: [{ on: [{ type: 'ext4', label: 'new' }] }] }),
      'needs-confirmation',
    ],
    ['it is gone', () => (host = { ...host, drives: host.drives.filter(({ name }) => name !== 'sdk') }), 'drive-not-found'],
    ['another has its name', () => void swap('sdk', 'sdd'), 'drive-not-found'],
    [
      'it became the host’s',
      () => (host = { ...host, mounts: [...(host.mounts ?? []), { point: '/srv', from: 'sdk1' }] }),
      'operator-needed',
    ],
  ])('T13: once it is locked, %s: nothing is written', async (_what, act, code) => {
    const durable_id = await idFor('sdk');
    program.onHold = () => void act();
    const answer = await format('sdk', { confirmed: true, durable_id });
    expect(answer.json.data).toMatchObject({ formatted: false });
    isRefusal(answer, 'sdk', code);
    expect([program.written, program.jobs()]).toEqual([[], []]);
  });
});

describe('while it goes on', () => {
  beforeEach(() => {
    program.waits = true;
  });

  test('T40: the same request joins; everybody else waits; what was done is not done again', async () => {
    const durable_id = await idFor('sdc');
    const first = format('sdc', { confirmed: true, durable_id });
    await expect.poll(() => program.written).toEqual(['sdc ext4']);
    const [job = ''] = program.jobs();
    expect(await diskNamed('sdc')).toMatchObject({
      state: 'in-use',
      role: 'user-data',
      owner: 'yours',
      data_reason: expect.stringMatching(/being formatted with ext4/),
    });

    isRefusal(await format('sdc'), 'sdc', 'format-running');
    isRefusal(await format('sdc', { fstype: 'exfat', confirmed: true, durable_id }), 'sdc', 'format-running');
    expect(await agent.post('/disks/assign', { uuid: uuidOf('sdc1'), where: '/mnt/felhom/x', fstype: 'ext4' })).toMatchObject({
      json: { ok: false, code: 'format-running' },
    });
    for (const deed of ['demote', 'release'])
      await expect(agent.admin('POST', `/drives/${deed}`, { drive: 'sdc' })).rejects.toThrow(/being formatted/);
    expect((await agent.admin('GET', '/drive?drive=sdc')).drive.holders).toMatchObject([
      { sentence: expect.stringMatching(/being formatted/) },
    ]);

    const second = format('/dev/sdc', { confirmed: true, durable_id });
    program.phase(job, 'checking');
    await expect.poll(async () => (await agent.get(`/jobs/${job}`)).json.data.phase, { timeout: 3_000 }).toBe('checking');
    program.end(job);
    for (const { status, json } of await Promise.all([first, second]))
      expect([status, json.data]).toEqual([200, expect.objectContaining({ formatted: true, job_id: job })]);
    expect((await format('sdc', { confirmed: true, durable_id })).json.data).toMatchObject({ formatted: true, job_id: job });
    expect(program.written).toHaveLength(1);
  });

  test('it fails: the sentence says what became of the drive, and the same request does not begin again by itself', async () => {
    const durable_id = await idFor('sdc');
    const asked = format('sdc', { confirmed: true, durable_id });
    await expect.poll(() => program.written).toHaveLength(1);
    program.fail(program.jobs()[0] ?? '', 'io');
    const answer = await asked;
    isRefusal(answer, 'sdc', 'format-failed');
    expect(answer.json.error).toMatch(/may be failing.*is erased.*Format it again/);
    expect(await diskNamed('sdc')).toMatchObject({
      owner: 'yours',
      data_bearing: true,
      data_reason: expect.stringMatching(/failed/),
      not_assignable: expect.stringMatching(/failed/),
    });
    isRefusal(await format('sdc', { confirmed: true, durable_id }), 'sdc', 'needs-confirmation');
    expect(program.written).toHaveLength(1);
    program.waits = false;
    expect((await format('sdc', { confirmed: true, durable_id: await idFor('sdc') })).json.data).toMatchObject({
      formatted: true,
    });
  });

  test('T42: interrupted: said, kept for its owner, gone on with by nobody; and good again after another format', async () => {
    const durable_id = await idFor('sdc');
    const asked = format('sdc', { confirmed: true, durable_id });
    await expect.poll(() => program.written).toHaveLength(1);
    const [job = ''] = program.jobs();
    program.die(job);
    const answer = await asked;
    isRefusal(answer, 'sdc', 'format-failed');
    expect((await agent.get(`/jobs/${job}`)).json.data).toMatchObject({
      state: 'interrupted',
      phase: 'making',
      error: answer.json.error,
    });
    const problems = async () =>
      (await agent.get('/problems')).json.data.problems.filter(({ code }: { code: string }) => code === 'format-interrupted');
    await expect.poll(problems).toMatchObject([{ severity: 'warning', sentence: expect.stringMatching(/sdc \(Camera\)/) }]);
    expect(await diskNamed('sdc')).toMatchObject({
      owner: 'yours',
      role: 'user-data',
      data_reason: expect.stringMatching(/interrupted/),
    });
    isRefusal(await format('sdc', { confirmed: true, durable_id }), 'sdc', 'needs-confirmation');
    isRefusal(await format('sdc', {}, 102), 'sdc', 'not-yours', 102);
    expect(program.written).toHaveLength(1);
    program.waits = false;
    expect((await format('sdc', { confirmed: true, durable_id: await idFor('sdc') })).json.data).toMatchObject({
      formatted: true,
    });
    await expect.poll(problems).toEqual([]);
    expect(await diskNamed('sdc')).toMatchObject({
      owner: 'yours',
      data_reason: expect.stringMatching(/carries/),
      not_assignable: '',
    });
  });

  test('T42: interrupted before a byte of it reached the drive: what an earlier format made there is not told again', () =>
    anew(async () => {
      program.waits = false;
      const { job_id } = (await format('sde')).json.data;
      program.waits = true;
      const asked = format('sde', { confirmed: true, durable_id: await idFor('sde', { durable_id: 'anew' }) });
      await expect.poll(() => program.written, { timeout: 5_000 }).toHaveLength(2);
      const job = program.jobs().find((one) => one !== job_id) ?? '';
      program.phase(job, 'wiping');
      program.die(job);
      isRefusal(await asked, 'sde', 'format-failed');
      isRefusal(await format('sde'), 'sde', 'needs-confirmation');
    }));
});
