import { expect, test } from 'vitest';
import { afterAwake } from '#shared/quiesce/awake';

/** A clock of which every timer may come late. */
const lateClock = () => {
  let now = 0;
  let timers: { at: number; call: () => void }[] = [];
  const fire = () => {
    for (;;) {
      const [due] = timers.filter(({ at }) => at <= now).sort((a, b) => a.at - b.at);
      if (due === undefined) return;
      timers = timers.filter((one) => one !== due);
      due.call();
    }
  };
  return {
    now: () => now,
    monotonic: () => now,
    after: (ms: number, call: () => void) => {
      const timer = { at: now + ms, call };
      timers.push(timer);
      return () => {
        timers = timers.filter((one) => one !== timer);
      };
    },
    /** Awake: every timer comes when it is due. */
    live: (ms: number) => {
      for (const end = now + ms; now < end; ) {
        now = Math.min(end, now + 10);
        fire();
      }
    },
    /** Everything stands still, then all that is due comes at once. */
    freeze: (ms: number) => {
      now += ms;
      fire();
    },
  };
};

const calledAt = (play: (clock: ReturnType<typeof lateClock>) => void): number | null => {
  const clock = lateClock();
  let called: number | null = null;
  afterAwake(clock, 10_000, () => {
    called = clock.now();
  });
  play(clock);
  return called;
};

test.each<[string, (clock: ReturnType<typeof lateClock>) => void, number | null]>([
  ['nothing stands still: at its time', (clock) => clock.live(20_000), 10_000],
  [
    'frozen past its end: five seconds after the thaw',
    (clock) => [clock.live(2000), clock.freeze(30_000), clock.live(20_000)],
    37_000,
  ],
  [
    'frozen for two seconds, one of them past its end: the same',
    (clock) => [clock.live(9000), clock.freeze(2000), clock.live(20_000)],
    16_000,
  ],
  ['thawed just before its end: the same', (clock) => [clock.live(5000), clock.freeze(4900), clock.live(20_000)], 14_900],
  ['frozen early: at its time', (clock) => [clock.live(1000), clock.freeze(3000), clock.live(20_000)], 10_000],
  ['a pause of half a second is none', (clock) => [clock.live(9900), clock.freeze(500), clock.live(20_000)], 10_400],
  [
    'frozen once more during those five seconds: not put off again',
    (clock) => [clock.live(9000), clock.freeze(2000), clock.live(1000), clock.freeze(9000), clock.live(1)],
    21_000,
  ],
  ['still frozen: not yet', (clock) => clock.live(9999), null],
])('%s', (_what, play, expected) => {
  expect(calledAt(play)).toBe(expected);
});

test('cancelled it never calls', () => {
  const clock = lateClock();
  const cancel = afterAwake(clock, 1000, () => {
    throw new Error('called');
  });
  clock.live(500);
  cancel();
  clock.live(5000);
});
