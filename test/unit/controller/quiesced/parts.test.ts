/** The small parts: log, places, options, what systemd passes, the words of status, the length of a lease. */
import { mkdtemp, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { statusText } from '#controller/quiesced/ask-status';
import { leaseMs } from '#controller/quiesced/attempt';
import { createFlush } from '#controller/quiesced/flush';
import { createLog } from '#controller/quiesced/log';
import { readOptions } from '#controller/quiesced/options';
import { placesIn, placesOf } from '#controller/quiesced/places';
import { passedSocket } from '#controller/quiesced/systemd';

test('the log waits while it is quiet, keeps the newest, and says all at its end', () => {
  let out = '';
  const log = createLog((text) => {
    out += text;
  }, true);
  log.say(6, 'one');
  expect(out).toBe('<6>one\n');
  log.begin();
  for (let index = 0; index < 600; index++) log.say(4, `line ${index}`);
  expect(out).toBe('<6>one\n');
  log.end();
  const lines = out.trim().split('\n');
  expect([lines.length, lines[1], lines.at(-1)]).toEqual([501, '<4>line 100', '<4>line 599']);
});

const MOUNTS = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:17 /@data /srv rw,relatime - btrfs /dev/sdb1 rw,subvol=/@data
31 30 0:50 / /srv/my\\040app rw - tmpfs tmpfs rw
32 31 8:33 /sub /srv/my\\040app rw - xfs /dev/sdc1 rw
`;
test.each([
  ['/etc', '/', '8:1', 'ext4', '/'],
  ['/srv/db', '/srv', '8:17', 'btrfs', '/@data'],
  ['/srvx', '/', '8:1', 'ext4', '/'],
  ['/srv/my app/db', '/srv/my app', '8:33', 'xfs', '/sub'],
])('%s lies on %s', (path, mount_point, device, fstype, root) => {
  expect(placesIn(MOUNTS, [path])).toEqual([{ path, mount_point, device, fstype, root }]);
});

test('what is mounted below counts too, but for what holds no data of its own', () => {
  const more = `${MOUNTS}33 30 0:60 / /srv/db/tables rw - nfs4 nas:/tables rw\n34 30 0:61 / /srv/db/run rw - tmpfs tmpfs rw\n`;
  expect(placesIn(more, ['/srv/db']).map(({ path, mount_point }) => [path, mount_point])).toEqual([
    ['/srv/db', '/srv'],
    ['/srv/db/tables', '/srv/db/tables'],
  ]);
});

test('links are followed; what is not there is said', async () => {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'felhom-places-')));
  try {
    await symlink(dir, join(dir, 'link'));
    await expect(placesOf([join(dir, 'link')])).resolves.toMatchObject([{ path: dir }]);
    await expect(placesOf([join(dir, 'none')])).rejects.toThrow('where its data lies');
    await expect(placesOf(null)).resolves.toBeNull();
    await expect(placesOf([])).resolves.toEqual([]);
  } finally {
    await rm(dir, { recursive: true });
  }
});

test.each([
  [['serve', '--listen', '/s'], { command: 'serve', listen: '/s', config: '/etc/felhom/quiesce.yaml' }],
  [['recover', '--state-dir', '/x'], { command: 'recover', stateDir: '/x', runtimeDir: '/run/felhom-quiesced', listen: null }],
])('%j is understood', (args, options) => {
  expect(readOptions(args)).toMatchObject({ kind: 'run', options });
});
test.each([[[]], [['stop']], [['serve', 'again']], [['serve', '--force']], [['--config']]])('%j is not', (args) => {
  expect(readOptions(args).kind).toBe('wrong');
});

test.each([
  [{ LISTEN_PID: '7', LISTEN_FDS: '1' }, 3],
  [{ LISTEN_PID: '8', LISTEN_FDS: '1' }, null],
  [{ LISTEN_PID: '7' }, null],
  [{}, null],
])('of %j a socket is %s', (env, fd) => {
  expect(passedSocket(env, 7)).toBe(fd);
});

test('a lease lasts three times what is expected and 15 s, never longer than hold_max', () => {
  expect([leaseMs(60_000, 5000), leaseMs(60_000, 100_000), leaseMs(60_000, null)]).toEqual([30_000, 60_000, 60_000]);
});

test('status in lines', () => {
  expect(
    statusText({
      version: '1.0.0',
      config_error: '',
      apps: [{ name: 'a', adapter: 'redis', hold: 'auto' }],
      hold_max_ms: 60_000,
      lease: null,
      not_back: [{ app: 'a', error: 'no disk', since_ms: 61_000 }],
    }),
  ).toBe('felhom-quiesced 1.0.0\napplications: a\nnothing is held\nnot back for 61 s: a (no disk)\n');
});

test('flushing opens mounts only, not what an application may have put at a path of its own', async () => {
  const ran: string[][] = [];
  const flush = createFlush(async (argv) => {
    ran.push([...argv]);
    return { ok: true, code: 0, timedOut: false, ms: 1, tail: '', stdout: '' };
  });
  await flush([{ path: '/srv/db/watchdog', mount_point: '/srv', device: '8:1', fstype: 'ext4', root: '/' }], 1000);
  expect(ran).toEqual([['/usr/bin/sync', '-f', '--', '/srv']]);
});
