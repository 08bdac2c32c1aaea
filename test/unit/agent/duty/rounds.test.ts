/** The rounds of the duty: they go on whatever a part of them does. */
import { expect, test } from 'vitest';
import { createRounds } from '#agent/duty/rounds';
import { fakeClock } from '../fake-clock.ts';
import { MINUTE } from './harness.ts';

const start = (steps: Record<string, () => Promise<void> | void>) => {
  const { clock, advance, pending } = fakeClock();
  const journal: string[] = [];
  const rounds = createRounds({
    clock,
    steps,
    journal: (_level, sentence, fields) => journal.push(`${sentence} ${fields?.what}`),
  });
  return { ...rounds, advance, pending, journal };
};

test('a step that fails keeps no other from being done, and is told once', async () => {
  let done = 0;
  const count = () => {
    done += 1;
  };
  const failing = () => {
    throw new Error('out of order');
  };
  const rounds = start({ one: failing, two: () => count() });
  rounds.begin();
  await rounds.advance(MINUTE);
  expect(done).toBe(7);
  expect(rounds.journal).toEqual(['A part of the scheduling does not work. one']);
  await rounds.close();
  await rounds.advance(MINUTE);
  expect(done).toBe(7);
});

test('one round at a time; one that never ends is given up', async () => {
  let begun = 0;
  const rounds = start({
    hangs: () => {
      begun += 1;
      return begun === 1 ? new Promise<never>(() => {}) : undefined;
    },
  });
  rounds.begin();
  await rounds.advance(9 * MINUTE);
  expect(begun).toBe(1);
  await rounds.advance(2 * MINUTE);
  expect(begun).toBeGreaterThan(1);
  expect(rounds.pending()).toBeLessThanOrEqual(2);
});
