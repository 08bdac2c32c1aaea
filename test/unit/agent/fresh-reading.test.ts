import { expect, test } from 'vitest';
import { createFreshReading } from '#agent/fresh-reading';
import { fakeClock, settle } from './fake-clock.ts';

/** A reading that ends only when the test says so; each is known by its number. */
const setup = () => {
  const { clock, advance, pending } = fakeClock();
  const begun: { end: () => void; fail: () => void }[] = [];
  const read = createFreshReading(
    clock,
    3_000,
    (asked: string) =>
      new Promise<string>((resolve, reject) => {
        const number = begun.length + 1;
        begun.push({ end: () => resolve(`${number} ${asked}`), fail: () => reject(new Error(`${number} failed`)) });
      }),
  );
  const answer = async (asked: string) => read(asked).catch((error: unknown) => String(error));
  return { read: answer, begun, advance, pending };
};

test('who asks while a reading is under way gets the next one, and shares it with all who wait', async () => {
  const { read, begun, pending } = setup();
  const first = read('a');
  await settle();
  const others = [read('b'), read('c')];
  await settle();
  expect(begun).toHaveLength(1);
  begun[0]?.end();
  expect(await first).toBe('1 a');
  await settle();
  expect(begun).toHaveLength(2);
  const after = read('d');
  begun[1]?.end();
  expect(await Promise.all(others)).toEqual(['2 b', '2 b']);
  await settle();
  begun[2]?.end();
  expect(await after).toBe('3 d');
  expect(pending()).toBe(0);
});

test('a failure is told to those who waited for that reading, and to no others', async () => {
  const { read, begun } = setup();
  const first = read('a');
  await settle();
  const second = read('b');
  begun[0]?.fail();
  expect(await first).toBe('Error: 1 failed');
  await settle();
  begun[1]?.end();
  expect(await second).toBe('2 b');
});

test('one that hangs holds one thread: nothing is begun beside it, and later askers do not wait at all', async () => {
  const { read, begun, advance } = setup();
  const asked = [read('a'), read('b')];
  await advance(3_000);
  const late = 'LateError: no answer within 3 seconds';
  expect(await Promise.all(asked)).toEqual([late, late]);
  expect(await read('c')).toBe(late);
  expect(begun).toHaveLength(1);
  // Nobody waits any more: its end begins nothing.
  begun[0]?.end();
  await settle();
  expect(begun).toHaveLength(1);
  const next = read('d');
  await settle();
  begun[1]?.end();
  expect(await next).toBe('2 d');
});
