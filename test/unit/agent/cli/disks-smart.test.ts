import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { disksSmartCommand } from '#agent/cli/disks-smart';
import { CommandFailed } from '#agent/cli/io';

const FIXTURES = fileURLToPath(new URL('../../../fixtures/drives/smart/', import.meta.url));
let scratch = '';
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'felhom-smart-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const run = async (...args: string[]) => {
  const said = { out: [] as string[], err: [] as string[], exit: -1 };
  const io = {
    out: (line: string) => void said.out.push(line),
    err: (line: string) => void said.err.push(line),
    exit: (status: number) => {
      said.exit = status;
    },
  };
  await disksSmartCommand(io).exitOverride().parseAsync(args, { from: 'user' });
  return said;
};

test('prints exactly what support asks for', async () => {
  const { out, err, exit } = await run('--from', `${FIXTURES}smart-fail2.json`, '--json');
  expect(out.length).toBe(1);
  const reading = JSON.parse(out[0] ?? '');
  expect(Object.keys(reading)).toEqual(['health', 'temperature_c', 'percentage_used', 'power_on_hours', 'standby', 'reasons']);
  expect(reading).toMatchObject({ health: 'FAILING', temperature_c: 25, power_on_hours: 65592 });
  expect({ err, exit }).toEqual({ err: [], exit: 0 });
});

test('and in words', async () => {
  const { out } = await run('--from', `${FIXTURES}vm-nvme0.json`);
  expect(out).toEqual(['health       PASSED', 'temperature  50 °C', 'used         0 % of its expected life', 'powered on   0 h']);
});

test('a drive that was not asked is no error', async () =>
  expect(await run('--from', `${FIXTURES}vm-sdc.json`, '--json')).toMatchObject({ exit: 0, err: [] }));

test.each(['', 'smartctl 7.3 2022-02-28', '{"smartctl":'])(
  'a file without a document is UNKNOWN, and named: %j',
  async (text) => {
    const file = join(scratch, 'saved.json');
    await writeFile(file, text);
    const { out, err, exit } = await run('--from', file, '--json');
    expect(JSON.parse(out[0] ?? '')).toMatchObject({ health: 'UNKNOWN', reasons: ['There is no answer of smartctl.'] });
    expect(err).toEqual([`${file} holds no JSON document. Was smartctl called with -j?`]);
    expect(exit).toBe(2);
  },
);

test.each([
  ['there is no such file', '/nowhere/smart.json'],
  ['it is a directory', '/tmp'],
  ['it is larger than anything', '/dev/zero'],
])('%s: an error that says what to do', async (why, file) => {
  await expect(run('--from', file)).rejects.toThrow(CommandFailed);
  await expect(run('--from', file)).rejects.toThrow(why);
});
