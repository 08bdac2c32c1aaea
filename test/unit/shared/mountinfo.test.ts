import { expect, test } from 'vitest';
import { isWithin, mountOf, parseMountinfo } from '#shared/mountinfo';

const TEXT = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 /@srv /srv rw - btrfs /dev/sdb rw,subvol=/@srv
31 30 0:41 / /srv/a\\040b rw master:3 - nfs4 host:/x\\011y rw
half a line
32 30 0:42 / /srv rw - tmpfs tmpfs rw
`;

test('what is mounted where, blanks as written in octal', () => {
  const mounts = parseMountinfo(TEXT);
  expect(mounts.map(({ id, parent, device, root, point }) => [id, parent, device, root, point])).toEqual([
    ['21', '1', '8:1', '/', '/'],
    ['30', '21', '0:40', '/@srv', '/srv'],
    ['31', '30', '0:41', '/', '/srv/a b'],
    ['32', '30', '0:42', '/', '/srv'],
  ]);
  expect(mounts[2]).toMatchObject({ fstype: 'nfs4', source: 'host:/x\ty' });
});

test.each([
  ['/srvx', '21'],
  ['/srv/x', '32'],
  ['/srv/a b/c', '31'],
  ['/', '21'],
])('%s is on the deepest mount, and of several on one point the last', (path, id) => {
  expect(mountOf(parseMountinfo(TEXT), path)?.id).toBe(id);
});

test.each([
  ['/a/b', '/a', true],
  ['/a', '/a', true],
  ['/ab', '/a', false],
  ['/a', '/', true],
  ['/', '/a', false],
])('%s within %s: %s', (path, directory, within) => {
  expect(isWithin(path, directory)).toBe(within);
});

test('optional fields of a mount are skipped, however many', () => {
  const [mount] = parseMountinfo(
    '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue\n',
  );
  const options = ['rw', 'noatime', 'rw', 'errors=continue'];
  expect(mount).toEqual({
    id: '36',
    parent: '35',
    device: '98:0',
    root: '/mnt1',
    point: '/mnt2',
    fstype: 'ext3',
    source: '/dev/root',
    options,
  });
});
