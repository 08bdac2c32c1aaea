import { expect, test } from 'vitest';
import { createLate, stillAtWork } from '#agent/disks/deeds/late';
import { createRetry } from '#agent/disks/deeds/retry';
import { fakeClock } from '../../fake-clock.ts';

const late = () => stillAtWork('It takes long.');

const always = () => true;

const slow = () => {
  let begun = 0;
  const ends: { resolve: (value: string) => void; reject: (error: Error) => void }[] = [];
  const act = () => {
    begun += 1;
    return new Promise<string>((resolve, reject) => ends.push({ resolve, reject }));
  };
  return { act, begun: () => begun, ends };
};

const settled = () => new Promise((resolve) => setImmediate(resolve));

test('a deed that ends in time is answered, and the next one is another', async () => {
  const { clock } = fakeClock();
  const join = createLate<string>(clock);
  expect(await join('a', async () => 'done', late, always)).toBe('done');
  await expect(join('a', async () => Promise.reject(new Error('no')), late, always)).rejects.toThrow('no');
  expect(await join('a', async () => 'again', late, always)).toBe('again');
});

test('who asks again joins the deed that is under way, and hears how it ended', async () => {
  const { clock, advance } = fakeClock();
  const join = createLate<string>(clock);
  const { act, begun, ends } = slow();
  const first = join('a', act, late, always);
  first.catch(() => undefined);
  await settled();
  await advance(9_000);
  await expect(first).rejects.toMatchObject({ code: 'drive-not-answering', message: expect.stringContaining('ask again') });
  const second = join('a', act, late, always);
  ends[0]?.resolve('done');
  expect(await second).toBe('done');
  expect(begun()).toBe(1);
});

test('what ended while nobody waited is told to who asks next, once, and not for ever', async () => {
  const { clock, advance } = fakeClock();
  const join = createLate<string>(clock);
  const { act, begun, ends } = slow();
  for (const key of ['a', 'b']) {
    const first = join(key, act, late, always);
    first.catch(() => undefined);
    await settled();
    await advance(9_000);
    await expect(first).rejects.toThrow();
  }
  ends[0]?.reject(new Error('why'));
  ends[1]?.resolve('done');
  await settled();
  await expect(join('a', act, late, always)).rejects.toThrow('why');
  await advance(16 * 60_000);
  const third = join('b', act, late, always);
  ends[2]?.resolve('anew');
  expect(await third).toBe('anew');
  expect(begun()).toBe(3);
});

test('what ended well while nobody waited is done anew where it does not hold any more; what failed is told', async () => {
  const { clock, advance } = fakeClock();
  const join = createLate<string>(clock);
  const { act, begun, ends } = slow();
  for (const key of ['a', 'b']) {
    const first = join(key, act, late, always);
    first.catch(() => undefined);
    await settled();
    await advance(9_000);
    await expect(first).rejects.toThrow();
  }
  ends[0]?.resolve('done');
  ends[1]?.reject(new Error('why'));
  await settled();
  const again = join('a', act, late, () => false);
  ends[2]?.resolve('anew');
  expect(await again).toBe('anew');
  await expect(join('b', act, late, () => false)).rejects.toThrow('why');
  expect(begun()).toBe(3);
});

test('what failed is tried again after twice as long each time, ten minutes at most', async () => {
  const { clock, advance } = fakeClock();
  const retry = createRetry(clock);
  const waits: number[] = [];
  for (let round = 0; round < 9; round += 1) {
    retry.failed('x');
    let waited = 0;
    while (!retry.mayTry('x')) {
      await advance(5_000);
      waited += 5;
    }
    waits.push(waited);
  }
  expect(waits).toEqual([10, 20, 40, 80, 160, 320, 600, 600, 600]);
  retry.failed('x');
  retry.forget('x');
  expect(retry.mayTry('x')).toBe(true);
});
