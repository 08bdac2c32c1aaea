import { expect, test } from 'vitest';
import { planApps } from '#controller/backup/plan';
import { type Answers, type CutFacts, judge, reportOf } from '#controller/backup/verdict';
import type { PreparedApp } from '#shared/quiesce/protocol';
import { app, MOUNTS, place } from './setup.ts';

const IN = { key: 'rootfs', storage: 'x', mount_point: '/', state: 'in-backup', reason: '' } as const;
const MP0 = { ...IN, key: 'mp0', mount_point: '/mp0' };
const VIEW = {
  coverage: [IN, MP0],
  error: '',
  mounts: [...MOUNTS, { ...MOUNTS[0], id: '2', parent: '1', device: '8:2', point: '/mp0' } as (typeof MOUNTS)[0]],
  disks: new Map(),
};
const SPREAD = [place('/srv'), { ...place('/mp0/x'), mount_point: '/mp0', device: '8:2' }];

test.each<[string, Partial<PreparedApp>, boolean, boolean]>([
  ['WAL, one instant', { kind: 'postgres', data: SPREAD }, true, false],
  ['WAL, several disks: it does not help', { kind: 'postgres', data: SPREAD }, false, false],
  ['WAL, always', { kind: 'postgres', data: SPREAD, hold: 'always' }, true, true],
  ['sqlite on one disk', { kind: 'sqlite' }, false, false],
  ['sqlite on several', { kind: 'sqlite', data: SPREAD }, false, true],
  ['a command', { kind: 'command-app' }, true, true],
  ['a command, never', { kind: 'command-app', hold: 'never' }, true, false],
  ['a command of what does not run', { kind: 'command-app', running: false }, true, false],
  ['a command that is not ready', { kind: 'command-app', ok: false, error: 'no' }, true, false],
  ['data that is nowhere', { kind: 'command-app', data: null }, true, true],
])('held: %s', (_what, change, oneInstant, hold) => {
  expect(planApps([app('a', change)], VIEW, oneInstant)).toMatchObject([{ name: 'a', hold }]);
});

interface Case {
  prepared?: Partial<PreparedApp>;
  facts?: Partial<CutFacts>;
  expected?: boolean;
  answers?: Partial<Answers>;
}
const HELD: Answers = {
  held: [{ app: 'a', held: true, error: '', ms: 1 }],
  checked: [{ app: 'a', stands: true, frozen_ms: null, error: '' }],
  released: [{ app: 'a', back: true, held_ms: 1234.4, error: '' }],
  error: '',
};
const NOT_HELD: Partial<Answers> = { held: [], released: [] };
const check = (change: object) => ({ checked: [{ app: 'a', stands: true, frozen_ms: null, error: '', ...change }] });
const verdict = ({ prepared = {}, facts = {}, expected = true, answers = {} }: Case) => {
  const planned = planApps([app('a', prepared)], VIEW, expected);
  const [outcome] = judge(planned, { reason: 'point', oneInstant: true, frozenMs: 0, ...facts }, { ...HELD, ...answers });
  if (!outcome) throw new Error('no outcome');
  return outcome;
};

test.each<[string, Case, string, boolean]>([
  ['held and checked', {}, 'ok', true],
  ['let go at the deadline', { facts: { reason: 'deadline' } }, 'no-point', false],
  ['let go for suspend mode', { facts: { reason: 'suspend' } }, 'no-point', false],
  ['the check says no', { answers: check({ stands: false }) }, 'hold-lost', false],
  ['nobody answered the check', { answers: { checked: [] } }, 'hold-lost', false],
  ['not held in time', { answers: { held: [{ app: 'a', held: false, error: 'slow', ms: 5000 }] } }, 'not-held', false],
  [
    'its hold ended within the freeze',
    { facts: { frozenMs: 40_000 }, answers: check({ stands: false, frozen_ms: 41_900 }) },
    'ok',
    true,
  ],
  [
    'its hold ended in a freeze that the host did not see',
    { answers: check({ stands: false, frozen_ms: 41_900 }) },
    'hold-lost',
    false,
  ],
  [
    'its hold ended while a busy guest stalled, and the host froze nothing',
    { answers: check({ stands: false, frozen_ms: 1600 }) },
    'hold-lost',
    false,
  ],
  [
    'longer than the host saw',
    { facts: { frozenMs: 40_000 }, answers: check({ stands: false, frozen_ms: 42_100 }) },
    'hold-lost',
    false,
  ],
  ['not ready', { prepared: { ok: false, kind: null, error: 'no socket' } }, 'not-ready', false],
  ['at rest', { prepared: { running: false }, answers: NOT_HELD }, 'ok', true],
  [
    'at rest, but started meanwhile',
    { prepared: { running: false }, answers: { ...NOT_HELD, ...check({ stands: false }) } },
    'hold-lost',
    false,
  ],
  ['WAL, one instant, no hold', { prepared: { kind: 'postgres' }, answers: NOT_HELD }, 'ok', true],
  [
    'WAL, another server since',
    { prepared: { kind: 'postgres' }, answers: { ...NOT_HELD, ...check({ stands: false }) } },
    'hold-lost',
    false,
  ],
  [
    'WAL, several disks',
    { prepared: { kind: 'postgres', data: SPREAD }, facts: { oneInstant: false }, answers: NOT_HELD },
    'several-disks',
    false,
  ],
  [
    'WAL, held over several disks',
    { prepared: { kind: 'postgres', data: SPREAD, hold: 'always' }, facts: { oneInstant: false } },
    'several-disks',
    false,
  ],
  [
    'sqlite, not held since one instant was promised',
    { prepared: { kind: 'sqlite', data: SPREAD }, facts: { oneInstant: false }, answers: NOT_HELD },
    'several-disks',
    false,
  ],
  [
    'sqlite on one disk, cut disk after disk',
    { prepared: { kind: 'sqlite' }, facts: { oneInstant: false }, expected: false, answers: NOT_HELD },
    'ok',
    true,
  ],
  ['never to be held, and needs it', { prepared: { hold: 'never' }, answers: NOT_HELD }, 'declared', false],
  ['never to be held, and needs none', { prepared: { hold: 'never', kind: 'postgres' }, answers: NOT_HELD }, 'ok', true],
  ['a command that promises less', { prepared: { kind: 'command-filesystem' } }, 'declared', false],
  ['a pause', { prepared: { kind: 'docker-pause' } }, 'declared', false],
])('%s', (_what, given, code, consistent) => {
  const outcome = verdict(given);
  expect(outcome).toMatchObject({ code, consistent, ok: consistent, covered: true });
  expect(outcome.why === '').toBe(code === 'ok');
});

test('held as it should be, on data that no backup includes', () => {
  const outcome = verdict({ prepared: { data: [{ ...place('/x'), device: '9:9' }] } });
  expect(outcome).toMatchObject({ consistent: true, covered: false, ok: false, code: 'not-covered' });
  expect(reportOf(outcome, 5)).toEqual({ app: 'a', held: true, held_ms: 1234, covered: false });
});

test.each<[string, Case, number]>([
  ['as felhom-quiesced says', {}, 1234],
  ['as long as it took so far', { answers: { released: [] } }, 5000],
  ['not at all', { prepared: { kind: 'postgres' }, answers: NOT_HELD }, 0],
])('how long it was held: %s', (_what, given, held_ms) => {
  expect(reportOf(verdict(given), 5000).held_ms).toBe(held_ms);
});
