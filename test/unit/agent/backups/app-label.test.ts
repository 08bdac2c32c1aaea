/** When an archive is called `app`: the table that a person can read, and every combination against it. */
import { describe, expect, test } from 'vitest';
import { claimsOf } from '#agent/backups/held';
import { fullLabelOf, isOneInstant } from '#agent/backups/label';
import type { LogFacts } from '#agent/backups/log';
import type { Label } from '#shared/label';
import type { HeldApp } from '#shared/wire/backups';

type Facts = Pick<LogFacts, 'guest' | 'mode' | 'running' | 'freeze' | 'pointLine'>;

const SNAPSHOT: Facts = { guest: 'lxc', mode: 'snapshot', running: true, freeze: 'held', pointLine: 12 };
const UNFROZEN: Facts = { guest: 'qemu', mode: 'snapshot', running: true, freeze: 'none', pointLine: 12 };
const SUSPEND: Facts = { guest: 'lxc', mode: 'suspend', running: true, freeze: 'none', pointLine: 12 };
const STOP: Facts = { guest: 'qemu', mode: 'stop', running: true, freeze: 'none', pointLine: 12 };
const DOWN: Facts = { guest: 'lxc', mode: 'stop', running: false, freeze: 'none', pointLine: 12 };
const UNKNOWN: Facts = { ...SNAPSHOT, pointLine: null };

const said = (app: string, { held = true, covered = true } = {}): HeldApp => ({ app, held, held_ms: held ? 900 : 0, covered });
const DB = said('db');
const WEB = said('web');

const labelFor = (facts: Facts, intends: string[], report: HeldApp[] | null): Label =>
  fullLabelOf(facts, { intends, heldApps: report && claimsOf(intends, report) });

describe('the table', () => {
  test.each<[what: string, facts: Facts, intends: string[], report: HeldApp[] | null, label: Label]>([
    ['all held, all in the archive', SNAPSHOT, ['db', 'web'], [DB, WEB], 'app'],
    ['disk after disk, and held meanwhile', UNFROZEN, ['db'], [DB], 'app'],
    ['reported in another order, with one that nobody asked for', SNAPSHOT, ['db', 'web'], [said('x'), WEB, DB], 'app'],
    ['one that nobody asked for was not held', SNAPSHOT, ['db'], [DB, said('x', { held: false })], 'app'],
    ['no application was to be consistent', SNAPSHOT, [], [DB], 'filesystem'],
    ['nothing was reported', SNAPSHOT, ['db'], null, 'filesystem'],
    ['nothing was reported, disk after disk', UNFROZEN, ['db'], null, 'crash'],
    ['an empty report', SNAPSHOT, ['db'], [], 'filesystem'],
    ['one was not reported', SNAPSHOT, ['db', 'web'], [DB], 'filesystem'],
    ['one was not held', SNAPSHOT, ['db', 'web'], [DB, said('web', { held: false })], 'filesystem'],
    ['one was not held, disk after disk', UNFROZEN, ['db', 'web'], [DB, said('web', { held: false })], 'crash'],
    ['data on a bind mount', SNAPSHOT, ['db'], [said('db', { covered: false })], 'filesystem'],
    ['held in one breath and not held in the next', SNAPSHOT, ['db'], [DB, said('db', { held: false })], 'filesystem'],
    ['only names that nobody asked for', SNAPSHOT, ['db'], [said('x'), said('DB')], 'filesystem'],
    ['suspend mode', SUSPEND, ['db'], [DB], 'crash'],
    ['stop mode', STOP, ['db'], [DB], 'stopped'],
    ['a guest that was down', DOWN, ['db'], [DB], 'stopped'],
    ['wording that nobody knows', UNKNOWN, ['db'], [DB], 'crash'],
  ])('%s', (_what, facts, intends, report, label) => {
    expect(labelFor(facts, intends, report)).toBe(label);
  });
});

const GUESTS = ['lxc', 'qemu', null] as const;
const MODES = ['snapshot', 'suspend', 'stop', null] as const;
const FREEZES = ['none', 'begun', 'held', 'failed'] as const;
const LOGS: Facts[] = GUESTS.flatMap((guest) =>
  MODES.flatMap((mode) =>
    [true, false, null].flatMap((running) =>
      FREEZES.flatMap((freeze) => [12, null].map((pointLine) => ({ guest, mode, running, freeze, pointLine }))),
    ),
  ),
);
const INTENDS = [[], ['db'], ['db', 'web']];
/** Of one application: silence, or any of what can be said of it, also twice. */
const words = (app: string): HeldApp[][] => {
  const claims = [true, false].flatMap((held) => [true, false].map((covered) => said(app, { held, covered })));
  return [[], ...claims.map((claim) => [claim]), ...claims.flatMap((one) => claims.map((other) => [one, other]))];
};
const REPORTS: (HeldApp[] | null)[] = [
  null,
  ...words('db').flatMap((db) =>
    words('web').flatMap((web) => [[], [said('extra', { held: false })]].map((x) => [...web, ...x, ...db])),
  ),
];

/** Written apart from the code: what the log alone proves. */
const provedBy = ({ guest, mode, running, freeze, pointLine }: Facts): Label => {
  if (guest === null || mode === null || running === null || pointLine === null) return 'crash';
  if (mode === 'stop') return 'stopped';
  return mode === 'snapshot' && running && freeze === 'held' ? 'filesystem' : 'crash';
};
/** And what a report proves: a word on each, and no word against any. */
const isProven = (intends: readonly string[], report: readonly HeldApp[] | null): boolean =>
  intends.length > 0 &&
  intends.every((name) => {
    const claims = (report ?? []).filter(({ app }) => app === name);
    return claims.length > 0 && !claims.some(({ held, covered }) => !held || !covered);
  });

test(`${LOGS.length * INTENDS.length * REPORTS.length} combinations: never \`app\` without its proof, and never less than the proof`, () => {
  const wrong: unknown[] = [];
  let apps = 0;
  for (const facts of LOGS) {
    const fixed = facts.guest !== null && facts.mode === 'snapshot' && facts.running === true && facts.pointLine !== null;
    for (const intends of INTENDS)
      for (const report of REPORTS) {
        const label = labelFor(facts, intends, report);
        const expected = fixed && isProven(intends, report) ? 'app' : provedBy(facts);
        if (label === 'app') apps += 1;
        if (label !== expected) wrong.push({ facts, intends, report, label, expected });
      }
  }
  expect(wrong).toEqual([]);
  expect(apps).toBeGreaterThan(0);
});

test.each<[string, Facts, boolean | null]>([
  ["a container's snapshot", SNAPSHOT, true],
  ["a container's snapshot whose freeze is in doubt", { ...SNAPSHOT, freeze: 'failed' }, false],
  ['a virtual machine whose freeze held', { ...UNFROZEN, freeze: 'held' }, true],
  ['a virtual machine without a freeze', UNFROZEN, false],
  ['a virtual machine whose freeze failed', { ...UNFROZEN, freeze: 'failed' }, false],
  ['suspend mode', SUSPEND, false],
  ['stop mode', STOP, true],
  ['a guest that was down', DOWN, true],
  ['before the point', UNKNOWN, null],
])('all data of one instant, %s: %s', (_what, facts, expected) => {
  expect(isOneInstant(facts)).toBe(expected);
});
