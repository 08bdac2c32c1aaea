import { expect, test } from 'vitest';
import { createQuiet } from '#agent/disks/known/quiet';
import { fakeClock } from '../../fake-clock.ts';

const host = () => {
  const { clock, advance } = fakeClock();
  const proc = {
    partitions: async () => 'sda 1',
    mountinfo: async () => '26 1 8:1 / / rw - ext4 /dev/sda1 rw',
    swaps: async () => '',
  };
  const quiet = createQuiet({ clock, proc });
  const after = async (seconds: number) => {
    await advance(seconds * 1000);
    return quiet.isQuiet(300_000);
  };
  return { proc, after };
};

test('at first, and for a minute, it is looked; then every five minutes while nothing moves', async () => {
  const { after } = host();
  expect([await after(0), await after(30), await after(29)]).toEqual([false, false, false]);
  expect([await after(30), await after(200)]).toEqual([true, true]);
  expect([await after(69), await after(1), await after(10)]).toEqual([true, false, true]);
});

test.each(['partitions', 'mountinfo', 'swaps'] as const)('what moves in %s is followed for a minute', async (source) => {
  const { proc, after } = host();
  await after(0);
  expect(await after(100)).toBe(true);
  proc[source] = async () => 'other';
  expect([await after(10), await after(50), await after(9)]).toEqual([false, false, false]);
  expect(await after(10)).toBe(true);
});

test('while it cannot be told it is looked', async () => {
  const { proc, after } = host();
  await after(0);
  proc.swaps = () => Promise.reject(new Error('EIO'));
  expect([await after(100), await after(100)]).toEqual([false, false]);
});
