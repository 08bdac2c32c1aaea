import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NewProblem } from '#agent/health/problems';
import type { Store } from '#agent/ports/store';
import { type ClockMark, loadClockMark } from '#agent/trust/clock-mark';
import { fakeClock } from './fake-clock.ts';
import { openPlainStore } from './ops/plain-store.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.UTC(2026, 10, 22);

let dir: string;
let store: Store;
let isSynchronised = true;
let asked = 0;
const problems = new Map<string, NewProblem>();
let time: ReturnType<typeof fakeClock>;
const load = (): Promise<ClockMark> =>
  loadClockMark({
    ...{ store, clock: time.clock },
    synchronised: async () => {
      asked += 1;
      return isSynchronised;
    },
    problems: { raise: (problem) => void problems.set(problem.code, problem), clear: (code) => void problems.delete(code) },
  });

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'felhom-mark-'));
  store = openPlainStore(join(dir, 'felhom.db'));
  await store.write({ sql: "INSERT INTO grant_state (one, setup_id, counter) VALUES (1, 'x', 0)" });
  [time, isSynchronised, asked] = [fakeClock(NOW), true, 0];
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

test('the mark follows a clock that the kernel calls synchronised, and outlives the agent', async () => {
  const mark = await load();
  expect([mark.mark(), mark.doubt()]).toEqual([null, '']);
  await mark.tick();
  expect(mark.mark()).toBe(NOW);
  await time.advance(HOUR);
  await mark.tick();
  expect((await load()).mark()).toBe(NOW + HOUR);
});

test('it stays where the kernel does not say so', async () => {
  isSynchronised = false;
  const mark = await load();
  await mark.tick();
  expect(mark.mark()).toBeNull();
});

test('a clock that is ahead by decades takes it along by a day an hour', async () => {
  const mark = await load();
  await mark.tick();
  time.setWall(72 * 365 * DAY);
  await mark.tick();
  expect([mark.mark(), asked]).toEqual([NOW, 1]);
  for (let hour = 1; hour <= 3; hour += 1) {
    await time.advance(HOUR);
    await mark.tick();
  }
  expect(mark.mark()).toBe(NOW + 3 * DAY);
});

test('it never moves back', async () => {
  const mark = await load();
  await mark.tick();
  time.setWall(-2 * HOUR);
  await time.advance(HOUR);
  await mark.tick();
  expect([mark.mark(), (await load()).mark()]).toEqual([NOW, NOW]);
});

test('a clock that is behind it by more than a day is doubted, until it is right or root says so', async () => {
  const mark = await load();
  await mark.tick();
  time.setWall(-DAY);
  expect(mark.doubt()).toBe('');
  time.setWall(-1);
  await mark.tick();
  expect(mark.doubt()).toMatch(/says 2026-11-20T23:59:59.999Z, but it was 2026-11-22T00:00:00.000Z already/);
  expect(problems.get('clock-doubtful')?.nextStep).toMatch(/clock accept/);
  time.setWall(DAY);
  await mark.tick();
  expect([mark.doubt(), problems.size]).toEqual(['', 0]);
  time.setWall(-10 * DAY);
  await mark.accept([]);
  expect([mark.doubt(), (await load()).mark()]).toEqual(['', time.clock.now()]);
});
