/** What retention keeps: Proxmox's own choice among the scheduled archives, and never less than what can be trusted. */
import { describe, expect, test } from 'vitest';
import type { Archive } from '#agent/archives/archive';
import { type Decision, decideRetention, newestFirst } from '#agent/archives/retention';
import { KEEP, type Retention } from '#agent/config';
import { toPrune } from '../../../pve/vzdump/prune.ts';
import { randomFrom } from '../archive-check/make.ts';
import { archiveAt, DAY, HOUR, NOON, volidAt } from './setup.ts';

const kept = (decisions: readonly Decision[]): string[] =>
  decisions.filter(({ keep }) => keep).map(({ archive }) => archive.volid);
const gone = (decisions: readonly Decision[]): string[] =>
  decisions.filter(({ keep }) => !keep).map(({ archive }) => archive.volid);

const randomRetention = (random: (below: number) => number): Retention => {
  const retention = Object.fromEntries(KEEP.filter(() => random(2) === 0).map((kind) => [kind, random(5)]));
  return Object.values(retention).some((count) => count > 0) ? retention : { 'keep-last': 1 };
};

type Pick1 = <T>(...choices: readonly T[]) => T;
const pickWith =
  (random: (below: number) => number): Pick1 =>
  (...choices) =>
    choices[random(choices.length)] as (typeof choices)[number];

/** Backups of months, some days several, some weeks none. */
const randomHistory = (random: (below: number) => number, more: (pick: Pick1) => Partial<Archive>): Archive[] => {
  const pick = pickWith(random);
  const times = new Set<number>();
  let at = NOON;
  for (let count = 1 + random(40); count > 0; count -= 1) {
    at -= 1000 + random(pick(2 * HOUR, DAY, 3 * DAY, 40 * DAY));
    times.add(Math.floor(at / 1000) * 1000);
  }
  return [...times].map((ms) => archiveAt(ms, { jobId: `job ${ms}`, ...more(pick) }));
};

test('1,000 random histories: it is Proxmox that chooses where nothing is protected', () => {
  const random = randomFrom(1);
  let removed = 0;
  for (let round = 0; round < 1000; round += 1) {
    const retention = randomRetention(random);
    const history = randomHistory(random, () => ({}));
    const theirs = toPrune(
      history.map(({ volid, vmid, format, notes, createdAt }) => {
        const facts = { volid, vmid, format, notes, protected: false, size: 1 };
        return { ...facts, subtype: 'lxc', ctime: createdAt / 1000 };
      }),
      { ...retention },
    ).map(({ volid }) => volid);
    const newest = [...history].sort(newestFirst)[0]?.volid;
    // The newest is kept by any retention that keeps anything.
    expect(theirs).not.toContain(newest);
    expect(gone(decideRetention(history, retention, NOON)).sort()).toEqual(theirs.sort());
    removed += theirs.length;
  }
  expect(removed).toBeGreaterThan(5000);
});

const newestOf = (archives: readonly Archive[], is: (archive: Archive) => boolean): string[] => {
  const found = [...archives].sort(newestFirst).find(is);
  return found === undefined ? [] : [found.volid];
};
const isExtra = ({ source }: Archive) => source === 'guest';
const isFine = ({ verification }: Archive) => verification !== 'failed';

test('1,000 random histories: what can be trusted is always there, and no extra backup moves a scheduled one', () => {
  const random = randomFrom(2);
  let removed = 0;
  for (let round = 0; round < 1000; round += 1) {
    const retention = randomRetention(random);
    const history = randomHistory(random, (pick) => ({
      source: pick('schedule', 'schedule', 'agent', 'operator', 'guest', 'guest', 'proxmox', 'unknown'),
      label: pick('crash', 'crash', 'crash', 'filesystem', 'stopped', 'app'),
      verification: pick('pending', 'pending', 'ok', 'failed', 'unsupported'),
      provenAt: pick(null, null, null, null, 1),
      protected: pick(false, false, false, false, true),
      ...pick({}, {}, {}, {}, {}, { jobId: null }),
    }));
    const decisions = decideRetention(history, retention, NOON);
    const there = kept(decisions);
    expect(decisions.map(({ archive }) => archive).sort(newestFirst)).toEqual([...history].sort(newestFirst));
    expect(decisions.every(({ why }) => why !== '')).toBe(true);

    const ours = history.filter(({ jobId, source }) => jobId !== null && source !== 'proxmox');
    expect(there).toEqual(expect.arrayContaining(history.filter((one) => !ours.includes(one)).map(({ volid }) => volid)));
    expect(there).toEqual(expect.arrayContaining(ours.filter((one) => one.protected).map(({ volid }) => volid)));
    const good = ours.filter(isFine);
    for (const among of [good, good.filter((one) => !isExtra(one))])
      expect(there).toEqual(
        expect.arrayContaining([
          ...newestOf(among, () => true),
          ...newestOf(among, ({ verification }) => verification === 'ok'),
          ...newestOf(among, ({ label }) => label === 'app'),
          ...newestOf(among, ({ label, verification }) => label === 'app' && verification === 'ok'),
          ...newestOf(among, ({ provenAt }) => provenAt !== null),
        ]),
      );

    const without = decideRetention(
      history.filter((one) => !isExtra(one)),
      retention,
      NOON,
    );
    expect(there).toEqual(expect.arrayContaining(kept(without).filter((volid) => good.some((one) => one.volid === volid))));

    // A damaged one goes only when a newer one was verified, and takes no place of a good one.
    for (const { archive, keep } of decisions.filter(
      ({ archive: one }) => !isFine(one) && !one.protected && ours.includes(one),
    )) {
      const newer = good.some(({ verification, createdAt }) => verification === 'ok' && createdAt > archive.createdAt);
      expect(keep).toBe(!newer);
    }
    expect(there).toEqual(expect.arrayContaining(kept(decideRetention(history.filter(isFine), retention, NOON))));
    removed += decisions.length - there.length;
  }
  expect(removed).toBeGreaterThan(5000);
});

describe('reasons', () => {
  const days = (count: number, more: (day: number) => Partial<Archive> = () => ({})): Archive[] =>
    Array.from({ length: count }, (_, day) => archiveAt(NOON - day * DAY, more(day)));
  const whys = (archives: readonly Archive[], retention: Retention) =>
    decideRetention(archives, retention, NOON).map(({ why }) => why);

  test('each says why', () => {
    expect(whys(days(4), { 'keep-last': 1, 'keep-daily': 2 })).toEqual([
      'one of the newest 1',
      'one of 2 daily, of 2026-11-20',
      'one of 2 daily, of 2026-11-19',
      'older than what is to be kept (keep-last=1, keep-daily=2)',
    ]);
  });

  test.each<[string, Partial<Archive>, string]>([
    ['protected', { protected: true }, 'protected'],
    ['the only verified one', { verification: 'ok' }, 'the newest archive that was verified'],
    ['the only consistent one', { label: 'app' }, 'the newest archive whose applications were consistent'],
    ['the only proven one', { provenAt: 1 }, 'the newest archive that was proven to start'],
    ['damaged, with nothing better', { verification: 'failed' }, 'damaged, but no newer one was verified yet'],
    ['of somebody else', { jobId: null, source: 'unknown' }, 'not made by felhom'],
    ['of a job that Proxmox started', { source: 'proxmox' }, 'not made by felhom'],
    ['renamed', { volid: 'bak:backup/vzdump-lxc-101-2026_11_17-12_00_00-before-the-move.tar.zst' }, 'given a name of its own'],
  ])('an old one that is %s stays', (_what, facts, why) => {
    const archives = days(5, (day) => (day === 4 ? facts : {}));
    expect(decideRetention(archives, { 'keep-last': 1 }, NOON).at(-1)).toMatchObject({ keep: true, why });
  });

  test('those that a wrong clock dated into the future stay, and no new one goes for them', () => {
    const wrong = Array.from({ length: 3 }, (_, day) =>
      archiveAt(NOON + (3000 + day) * DAY, { verification: 'ok', label: 'app' }),
    );
    const decisions = decideRetention([...days(3), ...wrong], { 'keep-last': 2 }, NOON);
    expect(gone(decisions)).toEqual([volidAt(NOON - 2 * DAY)]);
    expect(decisions[0]?.why).toBe('its date lies in the future');
    // Time has come to them.
    expect(gone(decideRetention([...days(3), ...wrong], { 'keep-last': 2 }, NOON + 4000 * DAY))).toHaveLength(4);
  });

  test('renamed ones stay, however many', () => {
    const names = (day: number) => ({ volid: `bak:backup/vzdump-lxc-101-keep-${day}.tar.zst`, format: '' });
    expect(gone(decideRetention(days(4, names), { 'keep-last': 1 }, NOON))).toEqual([]);
  });

  test('a damaged one goes when a newer one is verified, and an extra one when there are two newer', () => {
    const archives = days(6, (day) =>
      day === 0 ? { verification: 'ok' } : day === 1 ? { verification: 'failed' } : { source: 'guest' },
    );
    const decisions = decideRetention(archives, { 'keep-last': 5 }, NOON);
    expect(decisions.map(({ keep }) => keep)).toEqual([true, false, true, true, false, false]);
    expect(decisions[5]?.why).toBe('the guest asked for it, and for 2 newer ones');
  });

  test('a number that was a virtual machine before counts apart', () => {
    const archives = days(4, (day) => (day > 1 ? { volid: volidAt(NOON - day * DAY, { kind: 'qemu', format: 'vma.zst' }) } : {}));
    expect(decideRetention(archives, { 'keep-last': 1 }, NOON).map(({ keep }) => keep)).toEqual([true, false, true, false]);
  });
});
