import { expect, test } from 'vitest';
import { parseBlockDrivers, parseFilesystems, parseMdstat, parseSwaps } from '#agent/disks/sources/kernel-text';
import { createProc } from '#agent/ports/proc';

const SWAPS = `Filename				Type		Size		Used		Priority
/dev/dm-1                               partition	8388604		0		-2
/var/swap\\040file                       file		1048572		12		-3
/dev/zram0\\040(deleted)                 partition	1048572		0		100
`;

test('swap: devices, files, one whose file is gone', () => {
  expect(parseSwaps(SWAPS)).toEqual(['/dev/dm-1', '/var/swap file', '/dev/zram0']);
  expect(parseSwaps(SWAPS.split('\n', 1)[0] ?? '')).toEqual([]);
});

const MDSTAT = `Personalities : [raid1] [raid6] [raid5] [raid4] [linear]
md127 : active raid1 sdc1[2](S) sdb1[1](F) sda1[0](W)
      1046528 blocks super 1.2 [2/1] [U_]
      bitmap: 0/1 pages [0KB], 65536KB chunk

md2 : active (auto-read-only) raid5 nvme0n1p3[0] nvme1n1p3[1] sdf[3](J)
      2093056 blocks super 1.2 level 5, 512k chunk, algorithm 2 [3/2] [UU_]
      [=====>...............]  recovery = 26.5% (556000/2093056) finish=2.0min speed=4000K/sec

md0 : inactive sde[2](S)
      1046528 blocks super 1.2

unused devices: <none>
`;

test('arrays: every member, whatever its state, also of one that does not run', () => {
  expect(parseMdstat(MDSTAT)).toEqual([
    { name: 'md127', members: ['sdc1', 'sdb1', 'sda1'] },
    { name: 'md2', members: ['nvme0n1p3', 'nvme1n1p3', 'sdf'] },
    { name: 'md0', members: ['sde'] },
  ]);
  expect(parseMdstat('Personalities : \nunused devices: <none>\n')).toEqual([]);
});

const DEVICES = 'Character devices:\n  1 mem\n\nBlock devices:\n  7 loop\n  8 sd\n  9 md\n252 device-mapper\n';

test('drivers and file systems', () => {
  expect([...parseBlockDrivers(DEVICES)]).toEqual(['loop', 'sd', 'md', 'device-mapper']);
  expect([...parseFilesystems('nodev\tproc\n\text4\nnodev\tzfs\n')]).toEqual(['proc', 'ext4', 'zfs']);
});

test.each<[string, (text: string) => unknown, string]>([
  ['no list of swap', parseSwaps, ''],
  ['a list of swap without its heading', parseSwaps, SWAPS.slice(SWAPS.indexOf('\n') + 1)],
  ['a list of swap that is cut', parseSwaps, SWAPS.slice(0, 80)],
  ['no mdstat', parseMdstat, ''],
  ['an mdstat that is cut', parseMdstat, MDSTAT.slice(0, 300)],
  ['a member that is not one', parseMdstat, MDSTAT.replace('sda1[0](W)', 'sda1')],
  ['an array in an unknown state', parseMdstat, MDSTAT.replace('inactive', 'upside-down')],
  ['no drivers', parseBlockDrivers, ''],
  ['drivers of one kind', parseBlockDrivers, 'Character devices:\n  1 mem\n'],
  ['drivers of something else', parseBlockDrivers, `${DEVICES}what is this\n`],
  ['no file systems', parseFilesystems, ''],
  ['file systems that are cut', parseFilesystems, 'nodev\tproc\nnod'],
])('%s is no answer', (_what, parse, text) => expect(() => parse(text)).toThrow(/^\/proc\//));

test('what this machine says of itself is understood', async () => {
  const proc = createProc();
  expect(parseSwaps(await proc.swaps())).toBeInstanceOf(Array);
  expect(parseBlockDrivers(await proc.devices()).size).toBeGreaterThan(0);
  expect(parseFilesystems(await proc.filesystems()).has('ext4')).toBe(true);
});
