/** The prechecks on real drives, real mounts, a real lock, and a process that stands for a container's init. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseConfig } from '#agent/config';
import { systemClock } from '#agent/ports/clock';
import { runCommand } from '#agent/ports/command';
import { createFilesystem } from '#agent/ports/filesystem';
import { createGuestCgroup } from '#agent/ports/guest-cgroup';
import { createGuestMounts } from '#agent/ports/guest-mounts';
import { createNodeLock } from '#agent/ports/node-lock';
import { createPmxcfs } from '#agent/ports/pmxcfs';
import { createProc } from '#agent/ports/proc';
import { openStore } from '#agent/ports/store';
import { createThinPools } from '#agent/ports/thin-pools';
import { createPrechecks } from '#agent/prechecks/service';
import { createGuestSync } from '#agent/prechecks/sync';
import { storageConfig, storageResource } from '../unit/agent/fake-host.ts';
import { guest } from '../unit/agent/prechecks/world.ts';

const MIB = 1024 ** 2;
const MKFS = '/sbin/mkfs.ext4';
const able = process.getuid?.() === 0 && [MKFS, '/dev/loop-control', '/usr/bin/perl'].every((path) => existsSync(path));

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString();

/** In a mount namespace of its own: mounts what it is told below a root, moves in, says so, and waits to be killed. */
const INIT = `
  use Fcntl;
  my ($root, $image, $fuse, $bind) = @ARGV;
  sub mnt { system("/bin/mount", @_) == 0 or die "mount @_" }
  mnt("-o", "loop", $image, $root);
  mkdir "$root/$_" for qw(cloud pool);
  if ($fuse) {
    open(F, "+<", "/dev/fuse") or die "fuse: $!";
    fcntl(F, F_SETFD, 0);
    mnt("-i", "-t", "fuse.felhom", "-o", "fd=" . fileno(F) . ",rootmode=40000,user_id=0,group_id=0", "felhom", "$root/cloud");
  }
  mnt("--bind", $bind, "$root/pool") if $bind;
  chroot $root or die "chroot: $!";
  chdir "/";
  $| = 1;
  print "ready\\n";
  sleep 600;
`;

/** FUSE that is mounted where everybody sees it, and whose server never answers. */
const MUTE = `
  use Fcntl;
  open(F, "+<", "/dev/fuse") or die "fuse: $!";
  fcntl(F, F_SETFD, 0);
  system("/bin/mount", "-i", "-t", "fuse.mute", "-o", "fd=" . fileno(F) . ",rootmode=40000,user_id=0,group_id=0", "mute", $ARGV[0]) == 0 or die "mount";
  $| = 1;
  print "ready\\n";
  sleep 600;
`;

/** Resolves when the program has said that it is there. */
const started = async (child: ChildProcess): Promise<ChildProcess> => {
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
  });
  return child;
};

const ended = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
};

describe.skipIf(!able)('the prechecks on real drives (skipped without root, mkfs.ext4, loop devices or perl)', () => {
  const dir = able ? mkdtempSync(join(tmpdir(), 'felhom-prechecks-')) : '';
  const [drive, ctRoot, pool] = [join(dir, 'drive'), join(dir, 'ct'), join(dir, 'pool')];
  const [driveImage, ctImage, lockFile] = [join(dir, 'drive.img'), join(dir, 'ct.img'), join(dir, 'vzdump.lock')];
  const group = join(dir, 'cgroup', '101');
  const undo: (() => unknown)[] = [() => rmSync(dir, { recursive: true, force: true })];
  let check: () => ReturnType<ReturnType<typeof createPrechecks>['check']>;

  const mounted = () => readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${drive} `);
  const mount = () => mounted() || run('/bin/mount', '-o', 'loop', driveImage, drive);
  const unmount = () => mounted() && run('/bin/umount', drive);

  const makeDrive = (image: string): void => {
    writeFileSync(image, '');
    truncateSync(image, 128 * MIB);
    run(MKFS, '-q', '-F', image);
  };

  beforeAll(async () => {
    for (const path of [drive, ctRoot, pool, group, join(dir, 'pve')]) mkdirSync(path, { recursive: true });
    for (const image of [driveImage, ctImage]) makeDrive(image);
    writeFileSync(lockFile, '');
    writeFileSync(
      join(dir, 'pve', '.vmlist'),
      JSON.stringify({ version: 1, ids: { '101': { node: 'pve1', type: 'lxc', version: 1 } } }),
    );
    writeFileSync(join(dir, 'pve', '.members'), JSON.stringify({ nodename: 'pve1', version: 1 }));
    undo.push(unmount);
    mount();
    mkdirSync(join(drive, 'dump'));

    const store = await openStore(join(dir, 'state', 'felhom.db'));
    undo.push(() => store.close());
    const config = parseConfig('listen: [{address: 10.0.0.1, port: 8443}]\nbackup: {storage: usb}\n');
    if (!config.ok) throw new Error('the test has a bad configuration');
    const proc = createProc();
    const cgroup = createGuestCgroup({ proc, root: join(dir, 'cgroup') });
    const guestMounts = createGuestMounts({ cgroup, proc, run: runCommand });
    const resources = { guests: [guest()], storages: [storageResource({ storage: 'usb' })] };
    const storages = [
      storageConfig({ storage: 'usb', path: drive }),
      storageConfig({ storage: 'zfs', type: 'zfspool', path: '' }),
    ];
    const prechecks = createPrechecks({
      view: {
        node: 'pve1',
        resources: { read: async () => ({ value: resources, ageMs: 0, fresh: true }) },
        storages: { read: async () => ({ value: storages, ageMs: 0, fresh: true }) },
      },
      proxmox: { guestConfig: async () => ({ rootfs: 'zfs:subvol-101-disk-0,size=8G', digest: 'd1' }) },
      pmxcfs: createPmxcfs(join(dir, 'pve')),
      nodeLock: createNodeLock({ lockFile, proc }),
      guestMounts,
      thinPools: createThinPools(runCommand),
      filesystem: createFilesystem(runCommand),
      proc,
      clock: systemClock,
      settings: () => config.config.backup,
      recentSizes: async () => [10 * MIB],
      repairStaleLock: async () => false,
      store,
      journal: () => {},
      guestSync: createGuestSync({ guestMounts, clock: systemClock }),
    });
    check = () => prechecks.check(101);
  });

  afterAll(async () => {
    for (const step of undo.reverse())
      await Promise.resolve()
        .then(step)
        .catch(() => {});
  });

  /** The container, for as long as `act` takes. */
  const withContainer = async (args: [fuse: string, bind: string], act: (init: ChildProcess) => Promise<void>): Promise<void> => {
    const init = spawn(
      '/usr/bin/unshare',
      ['--mount', '--propagation', 'slave', '/usr/bin/perl', '-e', INIT, ctRoot, ctImage, ...args],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    try {
      await started(init);
      writeFileSync(join(group, 'cgroup.procs'), `${init.pid}\n`);
      await act(init);
    } finally {
      writeFileSync(join(group, 'cgroup.procs'), '');
      await ended(init);
    }
  };

  test('a good one passes; that the guest does not run is only a warning', async () => {
    expect(await check()).toMatchObject({ ok: true, mode: 'snapshot', warnings: [expect.stringMatching(/could not be synced/)] });
  });

  test('a drive that was unmounted: refused, and nothing is written beneath', async () => {
    await check();
    unmount();
    try {
      expect(await check()).toMatchObject({ ok: false, code: 'target-not-mounted' });
      expect(readdirSync(drive)).toEqual([]);
    } finally {
      mount();
    }
    expect(await check()).toMatchObject({ ok: true });
  });

  test('a drive that became read-only', async () => {
    run('/bin/mount', '-o', 'remount,ro', drive);
    try {
      expect(await check()).toMatchObject({ ok: false, code: 'target-read-only' });
    } finally {
      run('/bin/mount', '-o', 'remount,rw', drive);
    }
    expect(await check()).toMatchObject({ ok: true });
  });

  test('a drive that is filled', async () => {
    const ballast = join(drive, 'ballast');
    run('/usr/bin/fallocate', '-l', String(95 * MIB), ballast);
    try {
      expect(await check()).toMatchObject({
        ok: false,
        code: 'target-full',
        evidence: expect.stringMatching(/MB free, .* MB needed/),
      });
    } finally {
      rmSync(ballast);
    }
    run('/usr/bin/sync', '-f', drive);
    expect(await check()).toMatchObject({ ok: true });
  });

  test("vzdump's lock is seen while it is held, and never taken", async () => {
    const holder = spawn('/usr/bin/flock', ['--exclusive', '--no-fork', lockFile, '/bin/sh', '-c', 'echo held; exec sleep 600'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      await started(holder);
      expect(await check()).toMatchObject({ ok: false, code: 'node-lock-busy' });
    } finally {
      await ended(holder);
    }
    expect(await check()).toMatchObject({ ok: true });
  });

  test('what the container has only in memory is on its drive after the check', async () => {
    await withContainer(['', ''], async ({ pid }) => {
      const marker = `felhom-${Math.random()}-${Date.now()}`;
      appendFileSync(`/proc/${pid}/root/diary.txt`, marker);
      expect(readFileSync(ctImage).includes(marker)).toBe(false);
      expect(await check()).toMatchObject({ ok: true, warnings: [] });
      expect(readFileSync(ctImage).includes(marker)).toBe(true);
    });
  });

  describe.skipIf(!existsSync('/dev/fuse'))('with FUSE (skipped where the kernel has none)', () => {
    test('of the container itself: refused', async () => {
      await withContainer(['1', ''], async () => {
        expect(await check()).toMatchObject({
          ok: false,
          code: 'guest-fuse',
          evidence: 'fuse.felhom at /cloud inside the guest',
        });
      });
    });

    test('that the host gives in and that does not answer: refused within 10 s', async () => {
      const server = spawn('/usr/bin/perl', ['-e', MUTE, pool], { stdio: ['ignore', 'pipe', 'inherit'] });
      try {
        await started(server);
        await withContainer(['', pool], async () => {
          const before = performance.now();
          expect(await check()).toMatchObject({
            ok: false,
            code: 'guest-mount-dead',
            evidence: 'no answer at /pool inside the guest',
          });
          expect(performance.now() - before).toBeLessThan(10_000);
        });
      } finally {
        await ended(server);
        run('/bin/umount', '--lazy', pool);
      }
    });
  });
});
