import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RunCommand } from '#agent/ports/command';
import { createZpool, parsePools } from '#agent/ports/zpool';

const sample = (name: string) => readFileSync(join(import.meta.dirname, '../../../fixtures/drives/zpool', `${name}.txt`), 'utf8');
const LIST = sample('list');
const STATUS = sample('status');

test('mirrors, spares, logs, caches, files, and where a drive was that is gone', () => {
  expect(parsePools(LIST, STATUS)).toEqual([
    { name: 'rpool', guid: '5302163853226138487', devices: ['/dev/nvme0n1p3', '/dev/nvme1n1p3'] },
    {
      name: 'tank',
      guid: '14091712345678901234',
      devices: ['/dev/sdb1', '/dev/sdc1', '/dev/sdd1', '/var/lib/pool/s p.img', '/dev/nvme0n1p4', '/dev/sde', '/dev/sdf1'],
    },
  ]);
});

const [ROOT_POOL = ''] = STATUS.split('\n  pool: tank');
test.each([
  ['a pool that only the list has', LIST, ROOT_POOL],
  ['a pool that only the status has', LIST.split('\n', 1)[0] ?? '', STATUS],
  ['no status', LIST, ''],
  ['a status that is cut', LIST, STATUS.slice(0, STATUS.indexOf('tank  '))],
  ['a pool whose devices are not told', 'rpool\t1\n', ROOT_POOL.replace(/config:[\s\S]*CKSUM\n/, 'config: not available\n')],
  ['a list that is something else', 'cannot open /dev/zfs\n', STATUS],
])('%s is no answer', (_what, list, status) => expect(() => parsePools(list, status)).toThrow(/^its /));

test('without pools there is no status to ask for', async () => {
  const calls: string[] = [];
  const run: RunCommand = async (_name, [verb = '']) => {
    calls.push(verb);
    return verb === 'list' ? '' : STATUS;
  };
  expect(await createZpool(run).pools()).toEqual([]);
  expect(calls).toEqual(['list']);
});
