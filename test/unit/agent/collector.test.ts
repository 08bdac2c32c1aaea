import { expect, test, vi } from 'vitest';
import { ageSeconds, createCollector, LateError } from '#agent/collector';
import { fakeClock, settle } from './fake-clock.ts';

const TIMING = { deadlineMs: 3_000, keepMs: 1_000 };

const setup = (collect: () => Promise<unknown>) => {
  const { clock, advance, pending } = fakeClock();
  const spy = vi.fn(collect);
  return { source: createCollector(clock, TIMING, spy), advance, pending, spy };
};

test('a hundred readers at once cost one collection', async () => {
  const { source, spy, pending } = setup(async () => 7);
  const readings = await Promise.all(Array.from({ length: 100 }, () => source.read()));
  expect(spy).toHaveBeenCalledTimes(1);
  expect(new Set(readings.map(({ value }) => value))).toEqual(new Set([7]));
  expect(pending()).toBe(0);
});

test('a value is kept for its time, with its age, then asked for again', async () => {
  let next = 0;
  const { source, spy, advance } = setup(async () => ++next);
  expect(await source.read()).toEqual({ value: 1, ageMs: 0, fresh: true });
  await advance(900);
  expect(await source.read()).toEqual({ value: 1, ageMs: 900, fresh: true });
  await advance(200);
  expect(await source.read()).toEqual({ value: 2, ageMs: 0, fresh: true });
  expect(spy).toHaveBeenCalledTimes(2);
});

test('a failure keeps the last value, says why, and is not repeated at once', async () => {
  const broken = new Error('gone');
  let works = true;
  const { source, spy, advance } = setup(async () => {
    if (!works) throw broken;
    return 'good';
  });
  await source.read();
  works = false;
  await advance(5_000);
  expect(await source.read()).toEqual({ value: 'good', ageMs: 5_000, fresh: false, failure: broken });
  await source.read();
  expect(spy).toHaveBeenCalledTimes(2);
  works = true;
  await advance(1_000);
  expect(await source.read()).toMatchObject({ value: 'good', ageMs: 0, fresh: true });
});

test('a source that throws before it promises anything is a failure too', async () => {
  const { source } = setup(() => {
    throw new Error('at once');
  });
  expect(await source.read()).toMatchObject({ value: null, ageMs: null, fresh: false });
});

test('a hung source is answered at its deadline; whoever comes later does not wait, nor is a second one started', async () => {
  const { source, spy, advance } = setup(() => new Promise(() => {}));
  let reading: unknown;
  void source.read().then((one) => {
    reading = one;
  });
  await advance(2_999);
  expect(reading).toBeUndefined();
  await advance(1);
  expect(reading).toEqual({ value: null, ageMs: null, fresh: false, failure: expect.any(LateError) });
  await expect(source.read()).resolves.toMatchObject({ fresh: false });
  expect(spy).toHaveBeenCalledTimes(1);
});

test('a collection that is late but ends is used from then on', async () => {
  let finish = (_value: unknown) => {};
  const { source, advance } = setup(
    () =>
      new Promise((resolve) => {
        finish = resolve;
      }),
  );
  const late = source.read();
  await advance(3_000);
  expect(await late).toMatchObject({ fresh: false });
  finish('slow');
  await settle();
  expect(await source.read()).toMatchObject({ value: 'slow', ageMs: 3_000, fresh: true });
});

test('a collection that never ends is given up after a minute; what it says afterwards is not believed', async () => {
  const finish: ((value: string) => void)[] = [];
  const { source, spy, advance } = setup(() => new Promise<string>((resolve) => finish.push(resolve)));
  void source.read();
  await advance(60_001);
  const second = source.read();
  await settle();
  expect(spy).toHaveBeenCalledTimes(2);
  finish[1]?.('found');
  expect(await second).toMatchObject({ value: 'found', fresh: true });
  finish[0]?.('lost');
  await settle();
  expect(await source.read()).toMatchObject({ value: 'found', ageMs: 0, fresh: true });
});

test.each([
  [null, null],
  [0, 0],
  [1_499, 1],
  [-5, 0],
])('an age of %s ms is %s s', (ms, seconds) => expect(ageSeconds(ms)).toBe(seconds));
