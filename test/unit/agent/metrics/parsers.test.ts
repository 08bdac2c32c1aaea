import { expect, test } from 'vitest';
import { baseline, type CpuSample, cpuPercent, parseCpu, recent } from '#agent/metrics/cpu';
import { parseStatfs, parseZfsSpace } from '#agent/metrics/disk';
import { parseLoadavg, parseUptimeSeconds } from '#agent/metrics/load';
import { parseMemory } from '#agent/metrics/memory';

/** proc_stat(5): user nice system idle iowait irq softirq steal guest guest_nice. */
test.each([
  ['a whole line: guest is already in user', 'cpu  100 20 30 800 50 5 10 3 60 10\ncpu0 1 1 1 1', { busy: 168, total: 1018 }],
  ['an old kernel without steal and guest', 'cpu  100 0 50 850 0 0 0\n', { busy: 150, total: 1000 }],
  ['waiting for a drive is idle', 'cpu  0 0 0 10 90 0 0 0 0 0\n', { busy: 0, total: 100 }],
  ['the line is not the first', 'intr 5\ncpu  1 0 0 1 0 0 0 0 0 0\n', { busy: 1, total: 2 }],
])('/proc/stat: %s', (_what, text, sample) => expect(parseCpu(text, 5)).toEqual({ ...sample, atMs: 5 }));

test.each(['', 'cpu0 1 2 3 4', 'cpu  1 2 3', 'cpu  a b c d'])('/proc/stat without figures is a failure: %j', (text) =>
  expect(() => parseCpu(text, 0)).toThrow(),
);

const at = (atMs: number, busy = 0, total = 0): CpuSample => ({ busy, total, atMs });

test.each([
  ['idle', at(0, 10, 100), at(1, 10, 200), 0],
  ['half', at(0, 10, 100), at(1, 60, 200), 50],
  ['full', at(0, 10, 100), at(1, 110, 200), 100],
  ['more than all, when iowait ran backwards', at(0, 10, 100), at(1, 120, 200), 100],
  ['less than nothing', at(0, 10, 100), at(1, 5, 200), 0],
  ['no time has passed', at(0, 10, 100), at(1, 10, 100), null],
  ['counters that fell', at(0, 10, 100), at(1, 5, 50), null],
])('processor use: %s', (_what, before, after, share) => expect(cpuPercent(before, after)).toBe(share));

test.each([
  ['the nearest to ten seconds', [0, 5_000, 10_000, 14_900], 15_000, 5_000],
  ['after a start the oldest that is old enough', [0, 300], 600, 0],
  ['none is old enough', [400], 600, undefined],
  ['after a standstill the long one', [0], 3_600_000, 0],
])('baseline: %s', (_what, ages, now, chosen) =>
  expect(
    baseline(
      ages.map((ms) => at(ms)),
      now,
    )?.atMs,
  ).toBe(chosen),
);

test.each([
  [[0, 5_000, 10_000, 15_000], 21_000, [10_000, 15_000]],
  [[0, 5_000], 60_000, [5_000]],
  [[0, 5_000], 6_000, [0, 5_000]],
  [[], 6_000, []],
])('samples %j at %i: kept are %j', (ages, now, kept) =>
  expect(
    recent(
      ages.map((ms) => at(ms)),
      now,
    ).map(({ atMs }) => atMs),
  ).toEqual(kept),
);

const MEMINFO =
  'MemTotal:       16000000 kB\nMemFree:          500000 kB\nMemAvailable:    6000000 kB\nHugePages_Total:       0\n';
/** Of OpenZFS: name, type, data. */
const ARC =
  '13 1 0x01 96 26112 1 2\nname                            type data\nc_min                           4    1024000000\nc_max                           4    8192000000\nsize                            4    5120000000\nhdr_size 4 99\n';

test.each([
  ['plain', MEMINFO, null, 16_384_000_000, 10_240_000_000],
  ['ZFS: what its cache gives back is not used', MEMINFO, ARC, 16_384_000_000, 6_144_000_000],
  ['ZFS with a cache below its floor', MEMINFO, 'size 4 10\nc_min 4 1000\n', 16_384_000_000, 10_240_000_000],
  ['ZFS with an empty file', MEMINFO, '', 16_384_000_000, 10_240_000_000],
  ['more given back than used', 'MemTotal: 100 kB\nMemAvailable: 90 kB\n', ARC, 102_400, 0],
  ['tiny', 'MemTotal:          65536 kB\nMemAvailable:      1024 kB\n', null, 67_108_864, 66_060_288],
])('memory: %s', (_what, meminfo, arcstats, totalBytes, usedBytes) =>
  expect(parseMemory(meminfo, arcstats)).toEqual({ totalBytes, usedBytes }),
);

test.each(['', 'MemTotal: 100 kB\n', 'MemAvailable: 100 kB\n', 'MemTotal: x kB\nMemAvailable: 1 kB\n'])(
  'memory that is not told is a failure: %j',
  (meminfo) => expect(() => parseMemory(meminfo, null)).toThrow(),
);

test.each([
  ['ext4 with reserved blocks', '4096 1000 400 350\n', { totalBytes: 4_096_000, usedBytes: 2_457_600, availBytes: 1_433_600 }],
  ['a virtual file system', '4096 0 0 0', { totalBytes: 0, usedBytes: 0, availBytes: 0 }],
  ['more free than there is', '4096 10 11 11', { totalBytes: 40_960, usedBytes: 0, availBytes: 45_056 }],
])('statfs: %s', (_what, output, filling) => expect(parseStatfs(output)).toEqual(filling));

test("a pool's space is what its file systems share", () =>
  expect(parseZfsSpace('3000\t7000\n')).toEqual({ totalBytes: 10_000, usedBytes: 3_000, availBytes: 7_000 }));

test.each(['', '4096 1 1', '4096 x 1 1', '4096 -1 1 1', 'cannot open'])('unreadable figures are a failure: %j', (output) => {
  expect(() => parseStatfs(output)).toThrow();
  expect(() => parseZfsSpace(`${output} 1 1 1`)).toThrow();
});

test('load averages stay as they are printed', () =>
  expect(parseLoadavg('0.40 12.07 103.00 2/391 8812\n')).toEqual(['0.40', '12.07', '103.00']));
test.each(['', '0.1 0.2\n', 'nan nan nan 1/2 3'])('unreadable load: %j', (text) => expect(() => parseLoadavg(text)).toThrow());

test('uptime in whole seconds', () => expect(parseUptimeSeconds('1362.93 2540.75\n')).toBe(1362));
test.each(['', 'x 1', '-1.0 2'])('unreadable uptime: %j', (text) => expect(() => parseUptimeSeconds(text)).toThrow());
