/** Operations over the whole way: guests that ask over TLS, root on the command line, and the line that the operator signed. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { agentProgram } from '#agent/cli/program';
import type { HostSpec } from '../unit/agent/disks/host.ts';
import { makeOperator, type Operator } from '../unit/agent/ops/operator.ts';
import { type DriveAgent, startDriveAgent } from './drive-agent.ts';
import { hostWith, sourcesOf } from './drive-sources.ts';
import { fakeProgram } from './format-program.ts';

const HOSTILE = '\u001b[2J$(reboot)`id`;"\'\u202e';

/** `sda` runs the host; `sdb` and `sdd` once held backups, and `sdd` calls itself what no terminal should be given. */
let host: HostSpec = hostWith(
  [
    { name: 'sdb', model: 'Backup', serial: 'B1' },
    { name: 'sdd', model: `Evil ${HOSTILE}`, serial: `E1${HOSTILE}` },
  ],
  { looks: { sdb1: 'vzdump', sdd1: 'vzdump' } },
);
const program = fakeProgram((act) => {
  host = act(host);
});
let agent: DriveAgent;
let operator: Operator;

const at = (path: string): string => join(agent.dir, 'agent', path);

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

const pendingOp = async (device: string, vmid = 101) => {
  const { json } = await agent.post('/disks/format', { device, fstype: 'ext4' }, vmid);
  return json.data.pending_op as { id: string; host_scope: string; durable_id: string };
};

beforeAll(async () => {
  operator = await makeOperator();
  agent = await startDriveAgent({
    drives: { ...sourcesOf(() => host), driveFormat: program.driveFormat, inUse: { holders: async () => [] } },
    disks: { mount_root: '/mnt/felhom', guests: [101, 102] },
  });
  await vi.waitUntil(async () => (await agent.admin('GET', '/drives')).writes_off === '', 10_000);
});
afterAll(() => agent.close());

test('before anybody asked there is nothing, and the keys are missing', async () => {
  expect(await felhom('ops', 'list')).toEqual({
    status: 0,
    out: '',
    err: expect.stringMatching(/^Nothing waits for a signature\.\nNo key may sign: There is no .*opsign\.keys/),
  });
});

test('a guest sees its own operations, is told of them as they come, and of no others', async () => {
  const streams = await Promise.all([agent.listen(101), agent.listen(102)]);
  const told = streams[0]?.next('ops');
  const op = await pendingOp('sdb');
  expect(await told).toEqual({ vmid: 101 });
  const { json } = await agent.get('/ops');
  expect(json.data).toMatchObject({ vmid: 101, ops: [{ id: op.id, state: 'open', device: 'sdb', role: 'backup', vmid: 101 }] });
  expect(json.data.ops[0].sign_command).toBe(
    `felhom-opsign -op storage_wipe -host ${op.host_scope} -durable-id ${op.durable_id}`,
  );
  expect((await agent.get('/ops', 102)).json.data.ops).toEqual([]);
  const foreign = await agent.post(`/ops/${op.id}/grant`, { grant: 'x' }, 102);
  expect([foreign.status, foreign.json.code]).toEqual([409, 'op-not-found']);
  for (const stream of streams) stream.end();
});

test('root sees who asked for what, and the command that signs it', async () => {
  writeFileSync(at('opsign.keys'), operator.line());
  const op = await pendingOp('sdb');
  const { out, err } = await felhom('ops', 'list');
  expect([err, out]).toEqual([
    '',
    expect.stringMatching(new RegExp(`^${op.id} +waits for a signature +sdb +backup +Backup +B1 +101 +ext4 +20`, 'm')),
  ]);
  const shown = await felhom('ops', 'show', op.id);
  expect(shown.out).toMatch(/^erases +sdb: Backup, serial B1, 500\.0 GB$/m);
  expect(shown.out).toMatch(/^in use by +nobody$/m);
  expect(shown.out).toContain(`\n  felhom-opsign -op storage_wipe -host ${op.host_scope} -durable-id ${op.durable_id}\n`);
  expect(JSON.parse((await felhom('ops', 'show', op.id, '--json')).out)).toMatchObject({ in_use: [], prepared: [], job: null });
  expect(await felhom('ops', 'show', 'op-none')).toMatchObject({
    status: 1,
    err: expect.stringContaining('There is no operation op-none'),
  });
});

test('what a drive calls itself is inert in the command, in the lines and on the wire', async () => {
  const op = await pendingOp('sdd');
  const { sign_command, model, serial } = (await agent.get('/ops')).json.data.ops[0];
  expect(sign_command).toMatch(
    /^felhom-opsign -op storage_wipe -host [A-Za-z0-9._:-]+ -durable-id byid:backup\.[A-Za-z0-9._:-]+$/,
  );
  expect(model + serial).not.toMatch(/[^\P{C}]/u);
  for (const lines of [await felhom('ops', 'list'), await felhom('ops', 'show', op.id)])
    expect(lines.out).not.toMatch(/[^\P{C}\n]/u);
});

test('a signature that does not fit is refused with its reason, and nothing is erased', async () => {
  const op = await pendingOp('sdb');
  writeFileSync(at('grant'), `${await operator.sign('pve9-k3v7q2m5xw8r4t6y9zbc', op.durable_id)}\n`);
  expect(await felhom('ops', 'grant', at('grant'))).toMatchObject({
    status: 1,
    err: expect.stringMatching(/It was signed for the host pve9-.*not used up/),
  });
  expect(await felhom('ops', 'grant', at('nothing'))).toMatchObject({
    status: 1,
    err: expect.stringContaining('cannot be read'),
  });
  const line = await operator.sign(op.host_scope, op.durable_id);
  // Whoever carries it strips what a terminal adds.
  expect((await agent.post(`/ops/${op.id}/grant`, { grant: `${line}\n` })).json).toMatchObject({
    ok: false,
    code: 'grant-refused',
  });
  expect(program.written).toEqual([]);
});

test('a record that was lost turns grants and writes off, as a problem, until root accepts it', async () => {
  const op = await pendingOp('sdb');
  const line = await operator.sign(op.host_scope, op.durable_id);
  rmSync(at('grants.json'));
  expect((await agent.post(`/ops/${op.id}/grant`, { grant: line })).json).toMatchObject({ ok: false, code: 'grants-off' });
  const refused = await agent.post('/disks/format', { device: 'sdb', fstype: 'ext4' });
  expect(refused.json).toMatchObject({ code: 'drive-writes-off', data: { formatted: false, data_bearing: true } });
  expect((await felhom('ops', 'list')).err).toMatch(/No signature is accepted now: The file grants\.json .* is missing/);
  expect(await felhom('state', 'accept')).toMatchObject({
    status: 0,
    err: expect.stringMatching(/^What was wrong: .*\nThe records are accepted/),
  });
  expect((await felhom('ops', 'list')).out).toMatch(new RegExp(`^${op.id} +closed`, 'm'));
  expect((await agent.post(`/ops/${op.id}/grant`, { grant: line })).json).toMatchObject({
    code: 'grant-refused',
    error: expect.stringMatching(/was closed/),
  });
  expect(await felhom('clock', 'accept')).toMatchObject({ status: 0, err: expect.stringMatching(/^It is 20.* from now on/) });
  expect(program.written).toEqual([]);
});

test('a signature that fits erases its drive, once, and is followed to the end', async () => {
  const op = await pendingOp('sdb');
  const line = await operator.sign(op.host_scope, op.durable_id);
  writeFileSync(at('grant'), `${line}\n`);
  expect(await felhom('ops', 'grant', at('grant'))).toEqual({
    status: 0,
    out: expect.stringMatching(/^sdb \(Backup, serial B1\) is erased and holds an empty ext4 \(uuid:/),
    err: expect.stringMatching(/^The signature was accepted\. sdb \(Backup, serial B1\) is being erased\./),
  });
  expect(program.written).toEqual(['sdb ext4']);
  expect(await felhom('ops', 'grant', at('grant'))).toMatchObject({ status: 1, err: expect.stringMatching(/used already/) });
  const shown = await felhom('ops', 'show', op.id);
  expect(shown.out).toMatch(new RegExp(`^signed by +bela \\(key ${operator.kid}\\)$`, 'm'));
  expect(shown.out).toMatch(/^job +fmt-\S+ is done$/m);
  expect(program.written).toEqual(['sdb ext4']);
});
