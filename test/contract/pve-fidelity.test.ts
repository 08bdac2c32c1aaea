/** The recorded exchanges, replayed: the number that agrees never falls. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadRecording } from '../pve/fidelity/exchange.ts';
import { replay } from '../pve/fidelity/replay.ts';

const FLOOR = 461;

test(`at least ${FLOOR} recorded exchanges are answered as a real server does`, { timeout: 60_000 }, async () => {
  const results = await replay(loadRecording('').exchanges);
  const differ = results.filter((r) => r.problems.length > 0).map((r) => `#${r.index} ${r.exchange.name}: ${r.problems[0]}`);
  expect(results.length - differ.length, differ.join('\n')).toBeGreaterThanOrEqual(FLOOR);
});

const version = {
  name: 'version',
  request: { method: 'GET', path: '/api2/json/version', headers: {} },
  response: { status: 401, reason: 'No ticket', headers: { Date: 'nonsense' } },
};
const asking = (request: object) => ({ ...version, request: { ...version.request, ...request } });

test('a recording with broken lines is replayed to its end, and each of them counts as a miss', { timeout: 60_000 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'felhom-recording-'));
  const file = join(directory, 'exchanges.jsonl');
  const load = (...lines: (object | string)[]) => {
    writeFileSync(file, `\uFEFF${lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\r\n')}`);
    return loadRecording(file);
  };
  const broken = ['{not json', 'null', '5', '[]', '{}', '{"request":{}}', asking({ path: 7 }), asking({ body: {} })];
  const { exchanges, unreadable } = load(
    ...broken,
    version,
    asking({ path: '/api2/json/nodes/%zz/status' }),
    asking({ headers: { authorization: 'PVEAPIToken=%zz', cookie: 'PVEAuthCookie=%zz' } }),
    asking({ method: 'CONNECT' }),
    { ...version, response: { status: 200 } },
  );
  expect(unreadable).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  const results = await replay(exchanges, { deadlineMs: 500 });
  expect(results.map(({ problems }) => problems.length === 0)).toEqual([true, true, false, false, false]);
  expect(results[3]?.problems).toEqual([expect.stringContaining('failed: ')]);
  expect(await replay(load().exchanges)).toEqual([]);
  rmSync(directory, { recursive: true });
});
