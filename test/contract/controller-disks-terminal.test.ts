/** `felhom-controller disks` as a person meets it: the real program on a terminal of its own (script(1)), against a scripted agent. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { driveDurableId } from '#shared/durable-id';
import { bundleSources } from '../chaos/bundle.ts';
import {
  backupDrive,
  DIGEST,
  disk,
  doneJob,
  emptyLooking,
  formatJob,
  HOST,
  idOf,
  pendingOp,
  UUID,
  waitingOp,
} from '../unit/controller/disks/samples.ts';
import { cleanUp, scratch } from './controller-agent.ts';
import { controllerAt } from './controller-terminal.ts';
import { refuses, type Script, says, serve } from './drive-script.ts';

let MAIN = '';
beforeAll(async () => {
  MAIN = await bundleSources('controller-under-test', { main: 'controller/main.ts' });
});
afterEach(cleanUp);

const scene = async (script: Script) => {
  const { agent, bootstrap } = await serve(script);
  const dir = await scratch();
  mkdirSync(join(dir, 'run'));
  writeFileSync(join(dir, 'bootstrap.json'), JSON.stringify(bootstrap));
  const config = join(dir, 'controller.yaml');
  writeFileSync(config, `bootstrap: ${dir}/bootstrap.json\nruntime_dir: ${dir}/run\nstate_dir: ${dir}/state\n`);
  return {
    dir,
    sent: () =>
      agent.requests.filter(({ line }) => line !== 'GET /disks').map(({ line, body }) => [line, body && JSON.parse(body)]),
    ...controllerAt(MAIN, config),
  };
};

const FORMAT = 'POST /disks/format';
const drive = emptyLooking();
const needsConfirmation = (of = drive) =>
  refuses(FORMAT, 'needs-confirmation', 'It looks empty, but it was not read to its end.', {
    needsConfirmation: { durableId: idOf(of), device: `/dev/${of.name}` },
  });
const underWay = says(
  { vmid: 101, device: 'sdc', formatted: false, data_bearing: false, reason: '', job_id: 'fmt-1', durable_id: '' },
  202,
);
const operatorNeeded = refuses(FORMAT, 'operator-needed', 'The backups of this server are kept on it.', {
  pendingOp: {
    id: 'op-7h2k9m4x0abc',
    op: 'storage_wipe',
    hostScope: HOST,
    durableId: pendingOp().durable_id,
    fstype: 'ext4',
    device: '/dev/sdd',
  },
});
const GRANT = `${'a'.repeat(120)}.${'b'.repeat(1400)}.${'c'.repeat(86)}`;

test('format, from the question to the next command', async () => {
  const { onTerminal, sent } = await scene({
    disks: [drive],
    answers: { [FORMAT]: [needsConfirmation(), underWay], job: [says(formatJob()), says(doneJob())] },
  });
  const run = onTerminal('format', 'sdc', '--fstype', 'ext4');
  await run.shows('Its model: ');
  run.types('wdc wd40efrx-68n');
  await run.shows('serial number: ');
  run.types('abcd');
  expect(await run.ended, run.screen()).toBe(0);
  expect(run.screen()).toContain('\nfelhom-controller disks assign sdc --name data\r\n');
  expect(sent()[1]).toEqual([FORMAT, { device: 'sdc', fstype: 'ext4', durable_id: idOf(drive), confirmed: true }]);
});

test('Ctrl-C or Ctrl-D at the question, or no terminal whatever is on standard input: nothing is confirmed', async () => {
  const { onTerminal, piped, sent } = await scene({ disks: [drive], answers: { [FORMAT]: [needsConfirmation()] } });
  const words = ['format', 'sdc', '--fstype', 'ext4'];
  const given = await Promise.all(
    ['\u0003', '\u0004', ''].map(async (key) => {
      const run = key === '' ? piped('WDC WD40EFRX-68N\nABCD\n', ...words) : onTerminal(...words);
      if (key !== '') await run.shows('Its model: ');
      if (key !== '') run.presses(key);
      return { status: await run.ended, text: run.screen() };
    }),
  );
  expect(given.map(({ status }) => status)).toEqual([3, 3, 3]);
  for (const { text } of given) expect(text).toContain('Nothing was erased.');
  expect(given[2]?.text).toContain('Only a person at a terminal can confirm that.');
  expect(given[2]?.text).not.toContain('Its model: ');
  expect(sent()).toHaveLength(3);
});

test('Ctrl-C while it goes on leaves it going on', async () => {
  const { onTerminal } = await scene({ disks: [drive], answers: { [FORMAT]: [underWay], job: [says(formatJob())] } });
  const run = onTerminal('format', 'sdc', '--fstype', 'ext4');
  await run.shows('Under way: erasing');
  run.presses('\u0003');
  expect(await run.ended, run.screen()).toBe(5);
  expect(run.screen()).toMatch(/goes on by itself[\s\S]*\nfelhom-controller disks job fmt-1\r\n$/);
});

test("the operator's command is a whole line, and the line that comes back is pasted, however long", async () => {
  const { onTerminal, sent } = await scene({
    disks: [backupDrive()],
    answers: {
      [FORMAT]: [operatorNeeded],
      'GET /ops': [says({ vmid: 101, ops: [waitingOp()] })],
      grant: [says(formatJob({ device: 'sdd' }), 202)],
      job: [says(doneJob({ device: 'sdd' }))],
    },
  });
  const run = onTerminal('format', 'sdd', '--fstype', 'ext4');
  await run.shows('(Enter: later): ');
  expect(run.screen()).toContain(`\r\nfelhom-opsign -op storage_wipe -host ${HOST} -durable-id ${pendingOp().durable_id}\r\n`);
  run.types(GRANT);
  expect(await run.ended, run.screen()).toBe(0);
  expect(sent().find(([line]) => String(line).endsWith('/grant'))).toEqual(['POST /ops/op-7h2k9m4x0abc/grant', { grant: GRANT }]);
});

test('a script brings the line, on standard input or in a file', async () => {
  const { piped, sent, dir } = await scene({
    disks: [backupDrive()],
    answers: { [FORMAT]: [operatorNeeded], grant: [says(doneJob({ device: 'sdd' }))] },
  });
  const file = join(dir, 'grant');
  writeFileSync(file, `${GRANT}\n`);
  const bring = (from: string) => piped(`${GRANT}\n`, 'format', 'sdd', '--fstype', 'ext4', '--grant-file', from);
  const runs = [bring('-'), bring(file), bring(join(dir, 'none'))];
  expect(await Promise.all(runs.map(({ ended }) => ended)), runs.map((run) => run.screen()).join('')).toEqual([0, 0, 1]);
  const carried = ['POST /ops/op-7h2k9m4x0abc/grant', { grant: GRANT }];
  expect(sent().filter(([line]) => line !== FORMAT)).toEqual([carried, carried]);
});

const HOSTILE = 'x";reboot;`id`$(id)\'\u001b[2J\u202egnp\u2066\u0007';

test('T26: what a drive calls itself is inert on the terminal, also in the question', async () => {
  const one = emptyLooking({ model: HOSTILE, serial: HOSTILE, data_reason: HOSTILE, not_assignable: HOSTILE });
  const answers = { [FORMAT]: [needsConfirmation(one)] };
  const { onTerminal, piped } = await scene({ disks: [one], answers });
  const assigned = piped('', 'assign', 'sdc', '--name', 'x');
  expect(await assigned.ended).toBe(1);
  expect(assigned.screen()).toContain('\\u001b[2J\\u202egnp');
  expect(assigned.screen().replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  const run = onTerminal('format', 'sdc', '--fstype', 'ext4');
  await run.shows('Its model: ');
  const shown = run.screen().slice(0, run.screen().indexOf('Its model: '));
  expect(shown.replaceAll('\r\n', '').replaceAll('\u001b[1G', '').replaceAll('\u001b[0J', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  expect(shown).toContain('\\u001b[2J\\u202egnp');
  run.presses('\u0003');
  expect(await run.ended).toBe(3);
  expect(driveDurableId({ role: 'user-data', model: HOSTILE, serial: '', sizeBytes: 1, digest: DIGEST })).toMatch(
    /^[A-Za-z0-9._:-]+$/,
  );
});

test('list, as wide as the terminal; and the statuses of list, assign and eject', async () => {
  const connected = { vmid: 101, uuid: UUID, where: '/mnt/felhom/photos', guest_path: '/mnt/felhom/photos', note: '' };
  const { onTerminal, piped } = await scene({
    disks: [disk(), drive, backupDrive()],
    answers: {
      'POST /disks/assign': [says(connected)],
      'POST /disks/eject': [refuses('POST /disks/eject', 'drive-in-use', 'It is still used by cp.', { dependentGuests: [102] })],
    },
  });
  const [shown, json, assigned, ejected, usage] = await Promise.all(
    [
      onTerminal('list'),
      piped('', 'list', '--json'),
      piped('', 'assign', 'photos', '--name', 'photos'),
      piped('', 'eject', 'photos'),
      piped('', 'format', 'sdc'),
    ].map(async (run) => ({ status: await run.ended, text: run.screen() })),
  );
  expect([shown, json, assigned, ejected, usage].map((one) => one?.status)).toEqual([0, 0, 0, 1, 1]);
  for (const line of shown?.text.split('\r\n') ?? []) expect(line.length).toBeLessThanOrEqual(80);
  expect(JSON.parse(json?.text ?? '')).toMatchObject({
    vmid: 101,
    disks: [{ name: 'sdb' }, { name: 'sdc' }, { name: 'sdd' }],
    exit_status: 0,
  });
  expect(assigned?.text).toContain('is connected at /mnt/felhom/photos');
  expect(ejected?.text).toMatch(/still used by cp[\s\S]*102/);
});

test('an agent that is not there: the cause and what to try', async () => {
  const { piped, dir } = await scene({ disks: [], answers: {} });
  writeFileSync(join(dir, 'bootstrap.json'), '{}');
  const run = piped('', 'list');
  expect(await run.ended).toBe(1);
  expect(run.screen()).toMatch(/^felhom-controller: .*\(bootstrap-invalid\)\nTry: .*\.\n$/);
  const json = piped('', 'list', '--json');
  expect(await json.ended).toBe(1);
  expect(JSON.parse(json.screen().replace(/felhom-controller: [\s\S]*/, ''))).toMatchObject({
    error: { code: 'bootstrap-invalid' },
    exit_status: 1,
  });
});
