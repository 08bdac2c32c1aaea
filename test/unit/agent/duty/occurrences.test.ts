/** Proxmox's list of moments: kept over restarts and outages, asked for again when it has to be. */
import { expect, test } from 'vitest';
import { createOccurrences } from '#agent/duty/occurrences';
import { ProxmoxError } from '#agent/ports/proxmox';
import { DAY, HOUR, MINUTE, moments, NOON, setup } from './harness.ts';
import { intlTime } from './intl.ts';

const start = ({ schedule = '04:15', zone = 'UTC', delayMs = 0 } = {}) => {
  const { clock, store, pass, setWall } = setup();
  const host = { asked: [] as string[], zone, away: false, utcFails: false };
  const answer = async <T>(what: string, value: () => T): Promise<T> => {
    host.asked.push(what);
    if (host.away) throw new ProxmoxError({ method: 'GET', path: '/', status: 0, message: 'refused', effect: 'never' });
    return value();
  };
  const proxmox = {
    analyzeSchedule: (event: string, from: number) =>
      answer(event, () => {
        if (host.utcFails && event.endsWith(' UTC')) throw new Error('HTTP 596');
        return moments(event, from);
      }),
    timezone: () => answer('zone', () => host.zone),
  };
  const restart = () => createOccurrences({ store, proxmox, clock, journal: () => {}, localTime: intlTime, delayMs });
  let occurrences = restart();
  return {
    host,
    clock,
    pass,
    setWall,
    restart: () => {
      occurrences = restart();
    },
    refresh: () => occurrences.refresh([schedule]),
    kept: () => occurrences.of(schedule)?.moments ?? null,
    delayed: () => occurrences.of(schedule)?.delayed ?? null,
    trouble: () => occurrences.trouble(schedule),
    schedule: () => host.asked.filter((what) => what === schedule).length,
  };
};
const FIRST = NOON + 16 * HOUR + 15 * MINUTE;

test('a hundred moments are kept, and nothing is asked while they are fresh', async () => {
  const list = start();
  await list.refresh();
  expect(list.kept()).toHaveLength(100);
  expect(list.kept()?.[0]).toBe(FIRST);
  for (let tick = 0; tick < 100; tick += 1) {
    list.pass(10_000);
    await list.refresh();
  }
  expect(list.host.asked).toEqual(['zone', '04:15', '04:15 UTC']);
});

test('they are asked for again every day, and what is past stays', async () => {
  const list = start();
  await list.refresh();
  list.pass(DAY);
  await list.refresh();
  expect(list.schedule()).toBe(2);
  expect(list.kept()?.slice(0, 2)).toEqual([FIRST, FIRST + DAY]);
  expect(list.kept()).toHaveLength(101);
});

test('a frequent schedule is asked for again when half of it is used up', async () => {
  const list = start({ schedule: '*:*' });
  await list.refresh();
  list.pass(49 * MINUTE);
  await list.refresh();
  expect(list.schedule()).toBe(1);
  list.pass(3 * MINUTE);
  await list.refresh();
  expect(list.schedule()).toBe(2);
});

test('a week without Proxmox, with a restart in between: the kept list is used, and Proxmox is left in peace', async () => {
  const list = start();
  await list.refresh();
  list.host.away = true;
  list.restart();
  for (let tick = 0; tick < 7 * 24 * 6; tick += 1) {
    list.pass(10 * MINUTE);
    await list.refresh();
  }
  expect(list.kept()?.filter((at) => at > list.clock.now()).length).toBe(93);
  expect(list.trouble()).toMatchObject({ kind: 'away' });
  const before = list.host.asked.length;
  for (let tick = 0; tick < 360; tick += 1) {
    list.pass(10_000);
    await list.refresh();
  }
  expect(list.host.asked.length - before).toBeLessThanOrEqual(8);
  list.host.away = false;
  list.pass(HOUR);
  await list.refresh();
  expect(list.trouble()).toBeNull();
});

test('the zone of the host is looked at every hour', async () => {
  const list = start();
  await list.refresh();
  list.host.zone = 'Europe/Budapest';
  list.pass(59 * MINUTE);
  await list.refresh();
  expect(list.schedule()).toBe(1);
  list.pass(MINUTE);
  await list.refresh();
  expect(list.schedule()).toBe(2);
});

test('a clock that is set back before the question makes it asked again; one set ahead too', async () => {
  const list = start();
  await list.refresh();
  list.setWall(-DAY);
  await list.refresh();
  expect(list.kept()?.[0]).toBe(FIRST - DAY);
  list.setWall(3650 * DAY);
  await list.refresh();
  expect(list.kept()?.at(-1)).toBeGreaterThan(NOON + 3650 * DAY);
  list.setWall(-3649 * DAY);
  await list.refresh();
  expect(list.kept()?.filter((at) => at > list.clock.now())).toHaveLength(100);
  expect(list.kept()?.find((at) => at > list.clock.now())).toBe(FIRST);
});

test('a rejected schedule is named as such, one that never comes too', async () => {
  const rejected = start({ schedule: 'teatime' });
  await rejected.refresh();
  expect(rejected.kept()).toBeNull();
  expect(rejected.trouble()).toMatchObject({ kind: 'rejected', words: 'unable to parse calendar event' });
  const never = start({ schedule: '2020-1-1' });
  await never.refresh();
  expect(never.trouble()).toMatchObject({ kind: 'never' });
});

test('where the question for skipped times fails, the first answer stands', async () => {
  const list = start();
  list.host.utcFails = true;
  await list.refresh();
  expect(list.kept()).toHaveLength(100);
  expect(list.trouble()).toBeNull();
});

test.each([
  ['*:*:0/30', 55 * MINUTE],
  ['*:*', 59 * MINUTE],
  ['*:0/5', 30 * MINUTE],
])('%s, acted on %i ms later: there is a moment to come, always', async (schedule, delayMs) => {
  const list = start({ schedule, delayMs });
  await list.refresh();
  for (let tick = 0; tick < 3 * 60; tick += 1) {
    list.pass(MINUTE);
    await list.refresh();
    expect(list.delayed()?.at(-1)).toBeGreaterThan(list.clock.now());
  }
  expect(list.host.asked.length).toBeLessThan(3 * 20);
});

test('another zone for a frequent schedule: its moments to come are known at once', async () => {
  const list = start({ schedule: '*:0/5' });
  await list.refresh();
  list.host.zone = 'Europe/Budapest';
  list.pass(HOUR);
  await list.refresh();
  expect(list.kept()?.filter((at) => at > list.clock.now())).toHaveLength(100);
  expect(list.trouble()).toBeNull();
});
