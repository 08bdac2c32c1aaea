import { describe, expect, test } from 'vitest';
import { deviceOf, isDead, type Seen, whyNotMounted } from '#agent/disks/deeds/mount-source';
import { stateOf } from '#agent/disks/deeds/mount-state';
import type { MountSpec } from '#agent/ports/drive-mounts';
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import { kernelDevice } from '../../fake-host.ts';

const SDB = kernelDevice({
  name: 'sdb',
  numbers: '8:16',
  diskseq: 7,
  partitions: [{ name: 'sdb1', numbers: '8:17', sizeBytes: 1, startBytes: 0, holders: [] }],
});
const POINT = '/mnt/felhom/photos';
const GUEST = '/mnt/felhom/.guests/101/photos';

const mounts = (...lines: string[]): Mount[] => parseMountinfo(lines.map((line, index) => `${50 + index} 1 ${line}`).join('\n'));
const EXT4 = `8:17 / ${POINT} rw - ext4 /dev/sdb1 rw`;
const BTRFS = `0:43 / ${POINT} rw - btrfs /dev/sdb1 rw`;
const seen = (lines: string[], over: Partial<Seen> = {}): Seen => ({
  mounts: mounts(...lines),
  devices: [SDB],
  btrfs: [],
  ...over,
});
const source = (fstype = 'ext4', diskseq = 7) => ({
  drive: { device: { ...SDB, diskseq } },
  filesystem: { device: 'sdb1', numbers: '8:17', fstype },
});

test.each([
  ['its own', EXT4, source(), ''],
  ['its own, a btrfs', BTRFS, source('btrfs'), ''],
  ['its own, by a program', EXT4.replace('ext4', 'fuseblk'), source('exfat'), ''],
  ['nothing', '8:17 / /mnt/other rw - ext4 /dev/sdb1 rw', source(), 'nothing is mounted'],
  ['the whole drive', EXT4.replace('8:17', '8:16'), source(), 'sdb (8:16) is mounted'],
  ['a guest’s volume', EXT4.replace('8:17', '253:4'), source(), 'is not there any more'],
  ['a btrfs of another device', BTRFS.replace('sdb1', 'dm-4'), source('btrfs'), 'is not there any more'],
  ['another type', EXT4.replace('ext4', 'xfs'), source(), 'xfs is mounted'],
  ['another drive of the same name', EXT4, source('ext4', 8), 'another drive is sdb now'],
])('%s is told', (_what, line, meant, why) => {
  const found = whyNotMounted(POINT, meant, seen([line]));
  if (why === '') expect(found).toBe('');
  else expect(found).toContain(why);
});

test('a mount that covers another is what counts', () => {
  expect(whyNotMounted(POINT, source(), seen([EXT4, `0:50 / ${POINT} rw - tmpfs tmpfs rw`]))).toContain('tmpfs');
});

test('a btrfs of several devices is not what is meant', () => {
  expect(whyNotMounted(POINT, source('btrfs'), seen([BTRFS], { btrfs: [['sdb1', 'sdc1']] }))).toContain('sdb1 and sdc1');
});

test.each([
  ['there', EXT4, false],
  ['there, a btrfs', BTRFS, false],
  ['pulled out', EXT4.replace('8:17', '8:33'), true],
  ['pulled out, a btrfs', BTRFS.replace('sdb1', 'sdc1'), true],
  ['over the network', `0:44 / ${POINT} rw - nfs4 nas:/x rw`, false],
  ['a ZFS dataset', `0:45 / ${POINT} rw - zfs tank/x rw`, false],
  ['in memory', `0:46 / ${POINT} rw - tmpfs tmpfs rw`, false],
])('what is %s', (_what, line, dead) => {
  const [mount] = mounts(line);
  if (mount === undefined) throw new Error('no mount');
  expect(isDead(mount, [SDB])).toBe(dead);
  expect(deviceOf(mount, [SDB])?.name).toBe(dead || !line.includes('/dev/sdb1') ? undefined : 'sdb1');
});

describe('how an assignment stands', () => {
  const spec = { mountPoint: POINT, guestPoint: GUEST } as MountSpec;
  const SHOWN = EXT4.replace(POINT, GUEST);
  const name = '50 8:17 7';
  test.each([
    ['both places', [EXT4, SHOWN], name, { kind: 'fine' }],
    ['not looked at yet', [EXT4, SHOWN], undefined, { kind: 'unverified', seen: name }],
    ['mounted anew since', [EXT4, SHOWN], '49 8:17 7', { kind: 'unverified', seen: name }],
    ['another plugging in', [EXT4, SHOWN], '50 8:17 6', { kind: 'unverified', seen: name }],
    ['the host’s place only', [EXT4], name, { kind: 'hidden' }],
    ['something else for the guest', [EXT4, SHOWN.replace('8:17', '8:16')], name, { kind: 'hidden' }],
    ['neither place', [], name, { kind: 'absent' }],
    ['the guest’s place only', [SHOWN], name, { kind: 'absent' }],
    ['gone', [EXT4.replace('8:17', '8:33'), SHOWN], name, { kind: 'dead' }],
    ['gone for the guest', [EXT4, SHOWN.replace('8:17', '8:33')], name, { kind: 'dead' }],
  ] as const)('%s', (_what, lines, verified, state) => {
    expect(stateOf(spec, seen([...lines]), verified)).toEqual(state);
  });
});
