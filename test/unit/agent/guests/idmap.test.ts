import { expect, test } from 'vitest';
import { mappedRootOf } from '#agent/guests/idmap';

const lxc = (...lines: string[]) => mappedRootOf({ type: 'lxc', text: `${lines.join('\n')}\n` });

test.each([
  ['an unprivileged container', ['arch: amd64', 'unprivileged: 1'], { uid: 100_000, gid: 100_000 }],
  ['a privileged container', ['arch: amd64'], { uid: 0, gid: 0 }],
  ['one that says so', ['unprivileged: 0'], { uid: 0, gid: 0 }],
  [
    'a map of its own',
    ['unprivileged: 1', 'lxc.idmap: u 0 200000 65536', 'lxc.idmap: g 0 300000 65536'],
    { uid: 200_000, gid: 300_000 },
  ],
  [
    'with a =',
    ['unprivileged: 1', 'lxc.idmap = u 0 200000 65536', 'lxc.idmap = g 0 200000 65536'],
    { uid: 200_000, gid: 200_000 },
  ],
  ['with the older key', ['lxc.id_map: u 0 1 65536', 'lxc.id_map: g 0 2 65536'], { uid: 1, gid: 2 }],
  [
    'one user led through to the host',
    [
      'unprivileged: 1',
      'lxc.idmap: u 0 100000 1005',
      'lxc.idmap: g 0 100000 1005',
      'lxc.idmap: u 1005 1005 1',
      'lxc.idmap: g 1005 1005 1',
      'lxc.idmap: u 1006 101006 64530',
      'lxc.idmap: g 1006 101006 64530',
    ],
    { uid: 100_000, gid: 100_000 },
  ],
  ['only a snapshot that was unprivileged', ['arch: amd64', '', '[before]', 'unprivileged: 1'], { uid: 0, gid: 0 }],
  [
    'only a pending map',
    ['unprivileged: 1', '[pve:pending]', 'lxc.idmap: u 0 5 1', 'lxc.idmap: g 0 5 1'],
    { uid: 100_000, gid: 100_000 },
  ],
  ['a description that looks like one', ['#lxc.idmap: u 0 5 1', 'unprivileged: 1'], { uid: 100_000, gid: 100_000 }],
])('%s: its root', (_what, lines, root) => {
  expect(lxc(...lines)).toEqual(root);
});

test.each([
  ['cannot be read', ['unprivileged: 1', 'lxc.idmap: u 0 hundred 65536', 'lxc.idmap: g 0 100000 65536']],
  ['has no root', ['unprivileged: 1', 'lxc.idmap: u 1 100001 65535', 'lxc.idmap: g 0 100000 65536']],
  ['has users only', ['unprivileged: 1', 'lxc.idmap: u 0 100000 65536']],
  ['has an empty range', ['unprivileged: 1', 'lxc.idmap: u 0 100000 0', 'lxc.idmap: g 0 100000 65536']],
])('a map that %s: nobody is its root', (_what, lines) => {
  expect(lxc(...lines)).toBeNull();
});

test('root of a virtual machine is root', () => {
  expect(mappedRootOf({ type: 'qemu', text: 'unprivileged: 1\n' })).toEqual({ uid: 0, gid: 0 });
});
