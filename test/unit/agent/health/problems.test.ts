/** Problems as records: one of each kind, remembered over a restart, told at each change. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadProblems, type NewProblem, type ProblemChange, type Problems } from '#agent/health/problems';
import { problemView } from '#agent/health/view';
import { openStore, type Store } from '#agent/ports/store';
import { timestamp } from '#shared/ids';
import { PROBLEMS, type ProblemCode } from '#shared/problems';
import { Problems as WireProblems } from '#shared/wire/problems';
import { fakeClock } from '../fake-clock.ts';

let directory: string;
let store: Store;
let problems: Problems;
let changes: ProblemChange[];
let lines: string[];
const { clock, advance } = fakeClock(Date.UTC(2026, 10, 22));
const journal = (level: string, sentence: string) => void lines.push(`${level}: ${sentence}`);

const start = async (): Promise<void> => {
  problems = await loadProblems({ store, clock, journal });
  changes = [];
  problems.onChange((change) => changes.push(change));
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'felhom-problems-'));
  store = await openStore(join(directory, 'state', 'felhom.db'));
  lines = [];
  await start();
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const failing = (facts: Partial<NewProblem> = {}): NewProblem => ({
  code: 'backup-failing',
  vmid: 101,
  sentence: 'The backup of this guest failed twice.',
  evidence: '2 attempts',
  nextStep: 'Ask the operator to look.',
  ...facts,
});

test('raised again it is the same one: its beginning stays, its words are the newest, and it is told once', async () => {
  problems.raise(failing());
  const since = clock.now();
  await advance(60_000);
  problems.raise(failing({ evidence: '3 attempts' }));
  expect(problems.list()).toEqual([{ ...failing({ evidence: '3 attempts' }), severity: 'warning', since }]);
  expect(changes.map(({ kind }) => kind)).toEqual(['raised']);
  expect(lines).toEqual(['warning: Problem: The backup of this guest failed twice.']);
});

test('cleared once, it is told once; what was not raised clears nothing', () => {
  problems.clear('backup-failing', 101);
  problems.raise(failing());
  problems.clear('backup-failing', 102);
  problems.clear('backup-failing', null);
  problems.clear('backup-overdue', 101);
  expect(problems.list()).toHaveLength(1);
  problems.clear('backup-failing', 101);
  problems.clear('backup-failing', 101);
  expect(problems.list()).toEqual([]);
  expect(changes.map(({ kind, problem }) => [kind, problem.vmid])).toEqual([
    ['raised', 101],
    ['cleared', 101],
  ]);
});

test('a guest sees its own and those of the whole host; the operator sees all, oldest first', async () => {
  problems.raise(failing({ vmid: 102 }));
  await advance(1000);
  problems.raise(failing());
  await advance(1000);
  problems.raise(failing({ code: 'pmxcfs-down', vmid: null }));
  const seen = (vmid?: number) => problems.list(vmid).map((one) => one.vmid);
  expect([seen(), seen(101), seen(103)]).toEqual([[102, 101, null], [101, null], [null]]);
});

test('a restart forgets none, brings back none that was cleared, and tells none anew', async () => {
  problems.raise(failing());
  await advance(1000);
  problems.raise(failing({ code: 'pmxcfs-down', vmid: null }));
  problems.raise(failing({ vmid: 102 }));
  problems.raise(failing({ evidence: 'newest' }));
  problems.clear('backup-failing', 102);
  const before = problems.list();
  await store.write();
  await start();
  expect(problems.list()).toEqual(before);
  expect(problems.list().map(({ vmid, evidence }) => [vmid, evidence])).toEqual([
    [101, 'newest'],
    [null, '2 attempts'],
  ]);
  problems.raise(failing({ evidence: 'newest' }));
  expect([changes, problems.list()[0]?.since]).toEqual([[], before[0]?.since]);
});

test('a code of another version is passed over', async () => {
  await store.write({ sql: "INSERT INTO problems VALUES ('no-such-code', 101, 1, 'a', 'b', 'c')" });
  await start();
  expect(problems.list()).toEqual([]);
});

test('a database that fails loses the record and not the problem', async () => {
  const broken = { ...store, write: () => Promise.reject(new Error('disk full')) };
  const over = await loadProblems({ store: broken, clock, journal });
  over.raise(failing());
  await advance(0);
  expect(over.list()).toHaveLength(1);
  expect(lines).toContain('error: A problem could not be recorded.');
});

test('every code has a severity, a place in the journal and a form on the wire', () => {
  const place = { critical: /^error: /, warning: /^warning: /, notice: /^notice: / };
  for (const code of Object.keys(PROBLEMS) as ProblemCode[]) {
    problems.raise(failing({ code, vmid: null }));
    expect(lines.at(-1), code).toMatch(place[PROBLEMS[code]]);
  }
  const wire = { vmid: 101, problems: problems.list(101).map(problemView) };
  expect(Value.Errors(WireProblems, wire)).toEqual([]);
  expect(wire.problems.map(({ code, severity }) => [code, severity]).sort()).toEqual(Object.entries(PROBLEMS).sort());
  expect(wire.problems[0]).toMatchObject({ next_step: 'Ask the operator to look.', since: timestamp(clock.now()) });
});
