import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { RunCommand } from '#agent/ports/command';
import { createLvm, parsePvs } from '#agent/ports/lvm';

const sample = (name: string) => readFileSync(join(import.meta.dirname, '../../../fixtures/drives/lvm', `${name}.json`), 'utf8');
const GROUP = { group: 'vgx', groupUuid: 'lSM4h3-HpCM-djMu-q4lW-lGat-bWAc-4MvdSm' };

test('what LVM reports of two volumes, and of a group that lacks one', () => {
  const first = { device: '/dev/loop0', uuid: 'R52g5S-vykT-cFON-M45f-macu-R0yE-130liP', ...GROUP, missing: false };
  const second = { uuid: '07fIWv-onr6-686b-e9yL-bGpq-EBTi-Lj4yTI', ...GROUP };
  expect(parsePvs(sample('two-volumes'))).toEqual([first, { device: '/dev/loop1', ...second, missing: false }]);
  expect(parsePvs(sample('one-missing'))).toEqual([first, { device: '', ...second, missing: true }]);
});

test.each([
  ['nothing', ''],
  ['half an answer', sample('two-volumes').slice(0, 300)],
  ['no report', '{}'],
  ['a report without volumes', '{"report":[{"vg":[]}]}'],
  ['two reports', '{"report":[{"pv":[]},{"pv":[]}]}'],
  ['a volume without a name', '{"report":[{"pv":[{"pv_uuid":"x"}]}]}'],
  ['null', 'null'],
])('%s is no answer', (_what, text) => expect(() => parsePvs(text)).toThrow(/^its answer|^it lists/));

test('only the devices that are told are read, nothing is locked or written; without any the program still has to answer', async () => {
  const calls: (readonly string[])[] = [];
  const run: RunCommand = async (_name, args) => {
    calls.push(args);
    return '{"report":[{"pv":[]}]}';
  };
  await createLvm(run).physicalVolumes(['/dev/sda3', '/dev/sdb']);
  await createLvm(run).physicalVolumes([]);
  expect(calls[0]).toEqual(expect.arrayContaining(['--readonly', '--devices', '/dev/sda3,/dev/sdb']));
  expect(calls[1]).toEqual(['--version']);
});
