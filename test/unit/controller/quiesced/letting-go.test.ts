import { expect, test } from 'vitest';
import type { Children } from '#controller/quiesced/children';
import { ANSWER_MS, createLettingGo } from '#controller/quiesced/letting-go';
import { AppSays, type ChildLink } from '#controller/quiesced/link';
import { readQuiesce } from '#shared/quiesce/config';
import { manualClock } from '../manual-clock.ts';

const settled = readQuiesce({ apps: [{ name: 'a', adapter: 'systemd', units: ['a.service'] }] });
const app = settled.ok ? settled.settings.apps[0] : undefined;
if (app === undefined) throw new Error('the test has no application');

/** @param results of the releases of one child after the other; undefined: well */
const setup = (...results: (Error | 'hangs' | undefined)[]) => {
  const clock = manualClock();
  const lines: string[] = [];
  const dropped: string[] = [];
  let opened = 0;
  const link = (): ChildLink => {
    const result = results.shift();
    return {
      pid: 1,
      call: (async (call: string) => {
        if (call !== 'release') return null;
        if (result === 'hangs') await new Promise(() => undefined);
        if (result instanceof Error) throw result;
        return null;
      }) as ChildLink['call'],
      groups: () => [],
      gone: new Promise(() => undefined),
      end: async () => undefined,
      kill: async () => undefined,
    };
  };
  /** What quiesce.yaml names. */
  const named = new Set(['a']);
  const children: Children = {
    open: async () => {
      opened += 1;
      return link();
    },
    killAll: async () => undefined,
  };
  const letting = createLettingGo({
    clock,
    children,
    say: (priority, text) => void lines.push(`${priority} ${text}`),
    dropped: (name) => void dropped.push(name),
    isNamed: async (name) => named.has(name),
  });
  return { named, clock, lines, dropped, letting, link, opened: () => opened };
};
const release = { app, state: {}, heldAt: 0 };

test('by the child that holds it', async () => {
  const { letting, link, dropped, opened, clock } = setup(undefined);
  await clock.advance(1500);
  await expect(letting.begin({ ...release, link: link() })).resolves.toEqual({ app: 'a', back: true, held_ms: 1500, error: '' });
  expect([dropped, opened(), letting.notBack()]).toEqual([['a'], 0, []]);
});

test('a child that is of no use is replaced at once', async () => {
  const { letting, link, opened } = setup(new Error('its process does not answer'), undefined);
  await expect(letting.begin({ ...release, link: link() })).resolves.toMatchObject({ back: true });
  expect(opened()).toBe(1);
});

test('what the application refuses is tried again, less and less often, for ever, and told as an error after a minute', async () => {
  const { letting, link, opened, clock, lines, dropped } = setup(...Array.from({ length: 9 }, () => new AppSays('no disk')));
  await expect(letting.begin({ ...release, link: link() })).resolves.toMatchObject({ back: false, error: 'no disk' });
  const tries: number[] = [];
  for (const ms of [1000, 2000, 4000, 8000, 15_000, 60_000, 60_000, 60_000]) {
    await clock.advance(ms - 1);
    const before = opened();
    await clock.advance(1);
    tries.push(opened() - before);
  }
  expect(tries).toEqual([1, 1, 1, 1, 1, 1, 1, 1]);
  expect(letting.notBack()).toEqual([{ app: 'a', error: 'no disk', since_ms: 210_000 }]);
  expect(lines.filter((line) => line.startsWith('3 ')).length).toBe(3);
  expect(dropped).toEqual([]);
  await clock.advance(60_000);
  await letting.allBack();
  expect([dropped, letting.isNotBack('a')]).toEqual([['a'], false]);
});

test('one that quiesce.yaml no longer names is given up after eight tries, and that is told', async () => {
  const { letting, link, opened, clock, lines, dropped, named } = setup(
    ...Array.from({ length: 20 }, () => new AppSays('no such container')),
  );
  named.clear();
  await letting.begin({ ...release, link: link() });
  await clock.advance(90_000 - 1);
  expect(letting.isNotBack('a')).toBe(true);
  await clock.advance(60_001);
  await letting.allBack();
  expect([opened(), letting.isNotBack('a'), dropped]).toEqual([7, false, ['a']]);
  expect(lines.at(-1)).toContain('given up, for quiesce.yaml no longer names it');
  await clock.advance(300_000);
  expect(opened()).toBe(7);
});

test('the answer does not wait for one that hangs', async () => {
  const { letting, link, clock } = setup('hangs');
  const answer = letting.begin({ ...release, link: link() });
  await clock.advance(ANSWER_MS);
  await expect(answer).resolves.toEqual({ app: 'a', back: false, held_ms: ANSWER_MS, error: 'it is not back yet' });
});

test('stopped: no further try', async () => {
  const { letting, clock, opened } = setup(new AppSays('no'), undefined);
  await letting.begin({ ...release, link: null });
  letting.stop();
  await clock.advance(600_000);
  expect(opened()).toBe(1);
});
