/** Who has a drive in use, for real: each way to hold one that the usual tools do not see. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createInUse } from '#agent/disks/deeds/in-use';
import { parseSwaps } from '#agent/disks/sources/kernel-text';
import { systemClock } from '#agent/ports/clock';
import { createDriveCheck } from '#agent/ports/drive-check';
import { createGuestOfProcess } from '#agent/ports/guest-of-process';
import { createProc } from '#agent/ports/proc';
import { createSysfs } from '#agent/ports/sysfs';
import { hungDrive, hungMissing } from './hung.ts';
import { type Lab, type LabDrive, labMissing, outcome, run, withLab } from './lab.ts';
import { deviceOf, driveCheck, mountsNow, program, until } from './touching.ts';

const skipped = (missing: string): string => (missing === '' ? '' : ` (skipped: ${missing})`);

const check = driveCheck();
const known = <T>(value: T) => ({ known: true as const, value });

const inUse = createInUse({
  check,
  gather: async () => ({
    kernel: known(await createSysfs().kernelDevices()),
    mounts: await mountsNow(),
    swaps: known(parseSwaps(await createProc().swaps())),
    btrfs: known(await createSysfs().btrfsMembers()),
    md: known([]),
    zfs: known([]),
  }),
  assignments: () => [],
  guestOf: createGuestOfProcess(),
});

const holdersOf = async (drive: Pick<LabDrive, 'name'>, twins: string[] = []) =>
  inUse.holders({ name: drive.name, device: await deviceOf(drive), twins });

/** A process of the host's that does something and stays; it is ready when it has said so. */
const keeping = async (lab: Lab, script: string, wrapper: string[] = []): Promise<ChildProcess & { pid: number }> => {
  const [program = 'sh', ...args] = [...wrapper, 'sh', '-c', `${script} && echo ready && exec sleep 600`];
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  lab.undo(async () => {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  });
  await once(child.stdout, 'data');
  if (child.pid === undefined) throw new Error('it was not started');
  return child as ChildProcess & { pid: number };
};

const UNSEEN = ['unshare', '--mount', '--propagation', 'slave'];

describe.skipIf(labMissing !== '')(`a drive in use${skipped(labMissing)}`, () => {
  test('nobody has it', async () => {
    await withLab(async (lab) => expect(await holdersOf(await lab.drive({ name: 'free' }))).toEqual([]));
  });

  test('open by a process that claims nothing, as QEMU has it, under whatever name', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'given' });
      const [major = '', minor = ''] = drive.numbers.split(':');
      const node = join(lab.dir, 'another-node');
      await run('mknod', node, 'b', major, minor);
      const qemu = await keeping(lab, `exec 3<>${node}`);
      expect(await check.exclusive(drive.device)).toBe('free');
      expect(await holdersOf(drive)).toEqual([
        { kind: 'process', pid: qemu.pid, vmid: null, sentence: `Process ${qemu.pid} (sleep) has ${node} open.` },
      ]);
    });
  });

  test('a partition that is open', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'parts' });
      const [first = ''] = await lab.partition(drive, 'label: dos\n,20M\n,\n');
      const { pid } = await keeping(lab, `exec 3<${first}`);
      expect(await holdersOf(drive)).toMatchObject([{ kind: 'process', pid }]);
    });
  });

  test('mounted where nobody sees it', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'unseen' });
      await lab.mkfs(drive.device, 'ext4');
      const point = join(lab.dir, 'mnt');
      mkdirSync(point);
      const { pid } = await keeping(lab, `mount ${drive.device} ${point}`, UNSEEN);
      expect(await check.exclusive(drive.device)).toBe('busy');
      const found = await holdersOf(drive);
      expect(found).toEqual([
        { kind: 'mount', pid, vmid: null, sentence: `It is mounted at ${point}, seen by process ${pid} and others.` },
      ]);
    });
  });

  test('unmounted in name, and still used', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'lazy' });
      await lab.mkfs(drive.device, 'ext4');
      const point = join(lab.dir, 'mnt');
      await lab.mount(drive.device, point);
      const { pid } = await keeping(lab, `exec 3>${point}/database`);
      await run('umount', '--lazy', point);
      expect(await holdersOf(drive)).toMatchObject([{ kind: 'process', pid, sentence: expect.stringContaining('/database') }]);
    });
  });

  test('swap on a partition; a loop device on a file of its file system; a btrfs', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'many', mb: 256 });
      const [first = '', second = ''] = await lab.partition(drive, 'label: gpt\n,20M\n,\n');
      await lab.mkfs(first, 'swap');
      await run('swapon', first);
      lab.undo(() => run('swapoff', first));
      expect(await holdersOf(drive)).toMatchObject([{ kind: 'swap', sentence: expect.stringContaining(first) }]);
      await lab.mkfs(second, 'btrfs');
      const point = join(lab.dir, 'mnt');
      await lab.mount(second, point);
      const file = join(point, 'image');
      await run('truncate', '-s', '8M', file);
      const loop = await run('losetup', '--find', '--show', file);
      lab.undo(() => run('losetup', '-d', loop));
      const found = await holdersOf(drive);
      expect(found.map(({ kind }) => kind)).toEqual(['mount', 'swap', 'loop']);
      expect(found[2]?.sentence).toContain(basename(loop));
    });
  });

  test('the same storage by two ways, mounted by one: the other is in use', async () => {
    await withLab(async (lab) => {
      const one = await lab.drive({ name: 'one' });
      await lab.mkfs(one.device, 'ext4');
      const other = await lab.attach(one.file, { name: 'other' });
      await lab.mount(one.device, join(lab.dir, 'mnt'));
      expect(await check.exclusive(other.device)).toBe('free');
      expect(await holdersOf(other, [one.name])).toMatchObject([{ kind: 'mount' }]);
    });
  });

  test('pulled and plugged in anew: what was meant is not there any more', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'pulled' });
      const device = await deviceOf(drive);
      await lab.detach(drive);
      await lab.attach(drive.file, drive.spec);
      expect(await inUse.holders({ name: drive.name, device, twins: [] })).toMatchObject([{ kind: 'unknown' }]);
    });
  });
});

describe.skipIf(labMissing !== '')(`processes that cannot be asked${skipped(labMissing)}`, () => {
  test('as without CAP_SYS_PTRACE: each counts as one that uses the drive', async () => {
    const blind = ['/usr/bin/setpriv', '--bounding-set', '-sys_ptrace', ...program];
    const users = await createDriveCheck({ clock: systemClock, program: blind }).users(['8:16']);
    expect(users).toContainEqual({ pid: process.pid, command: expect.anything(), vmid: null, what: 'unreadable', path: '' });
    // The host's init is the self-test's affair.
    expect(users.some(({ pid }) => pid === 1)).toBe(false);
  });
});

describe.skipIf(labMissing !== '')(`who uses a file system${skipped(labMissing)}`, () => {
  test('open files, directories, changed roots, running programs, in any namespace; by its numbers or by one mount', async () => {
    await withLab(async (lab) => {
      const drive = await lab.drive({ name: 'used' });
      await lab.mkfs(drive.device, 'ext4');
      const [point, bind] = [join(lab.dir, 'mnt'), join(lab.dir, 'bind')];
      await lab.mount(drive.device, point);
      mkdirSync(bind);
      await lab.mount(point, bind, '--bind');
      mkdirSync(join(point, 'folder'));
      copyFileSync('/bin/sleep', join(point, 'program'));
      await run('chmod', '755', join(point, 'program'));
      const file = await keeping(lab, `exec 3>${point}/file`);
      const directory = await keeping(lab, `cd ${bind}/folder`);
      const inside = await keeping(lab, `exec 3>${bind}/inside`, UNSEEN);
      const root = await chrooted(lab, point);
      const running = spawn(join(point, 'program'), ['600']);
      lab.undo(() => running.kill('SIGKILL'));
      await keeping(lab, 'true');
      const uses = (await check.users([drive.numbers])).map(({ pid, what, path }) => [pid, what, path]);
      expect(uses).toContainEqual([file.pid, 'file', `${point}/file`]);
      expect(uses).toContainEqual([directory.pid, 'directory', `${bind}/folder`]);
      expect(uses).toContainEqual([inside.pid, 'file', `${bind}/inside`]);
      expect(uses).toContainEqual([root.pid, 'root', point]);
      expect(uses).toContainEqual([running.pid, 'mapping', `${point}/program`]);
      expect(new Set(uses.map(([pid]) => pid))).toEqual(new Set([file.pid, directory.pid, inside.pid, root.pid, running.pid]));
      const seen = (await mountsNow()).value.find(({ mount, host }) => host && mount.point === bind);
      const byMount = await check.users([], [seen?.mount.id ?? '']);
      expect(byMount.map(({ pid }) => pid)).toEqual([directory.pid]);
    });
  });
});

/** perl needs nothing of its new root any more when it changes there. */
const chrooted = async (lab: Lab, root: string): Promise<{ pid: number }> => {
  const script = 'chroot($ARGV[0]) or die; $|=1; print "ready\\n"; sleep 600';
  const child = spawn('/usr/bin/perl', ['-e', script, root], { stdio: ['ignore', 'pipe', 'inherit'] });
  lab.undo(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return { pid: child.pid ?? 0 };
};

/** Whether one of a process's threads waits for a drive (state D); false where there is no such process. */
const waits = (pid: string): boolean =>
  pid !== '' &&
  readdirSync(`/proc/${pid}/task`).some((task) => /^State:\s*D/m.test(readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8')));

describe.skipIf(hungMissing !== '')(`a drive that hangs${skipped(hungMissing)}`, () => {
  test('nobody has it while only the agent’s own program reads it', async () => {
    await withLab(async (lab) => {
      const dead = await hungDrive(lab, 'dead');
      dead.hang();
      const stop = new AbortController();
      const reading = check.zeros(dead.device, 32 * 1024 ** 2, { signal: stop.signal, onProgress: () => {} });
      const ended = reading.catch((error: unknown) => error);
      const readers = async () => (await outcome('pgrep', '-f', `zeros ${dead.device}`)).stdout.trim();
      await until(async () => waits(await readers()));
      expect(await holdersOf(dead)).toEqual([]);
      stop.abort();
      expect(await ended).toMatchObject({ reason: 'stopped' });
      // What was stopped is still there: nothing touches the drive beside it.
      expect((await holdersOf(dead)).map(({ kind }) => kind)).toContain('unknown');
      dead.answer();
      await until(async () => (await readers()) === '');
      expect(await holdersOf(dead)).toEqual([]);
    });
  });

  test('its users are told, and those of others, whatever waits for it', async () => {
    await withLab(async (lab) => {
      const dead = await hungDrive(lab, 'dead');
      const good = await lab.drive({ name: 'good', mb: 16 });
      await lab.mkfs(dead.device, 'ext4');
      const point = join(lab.dir, 'mnt');
      await lab.mount(dead.device, point);
      const writer = await keeping(lab, `cd ${point} && exec 3>${point}/file 4<${dead.served}`);
      // As the mounts are copied, so is the one that does not answer.
      await keeping(lab, `exec 3<${dead.served}`, UNSEEN);
      dead.hang();
      const stuck = spawn('/usr/bin/dd', ['if=/dev/zero', `of=${point}/more`, 'bs=1M', 'count=1', 'conv=fsync'], {
        stdio: 'ignore',
      });
      lab.undo(() => dead.answer());
      const started = performance.now();
      expect(await holdersOf(good)).toEqual([]);
      const users = await check.users([dead.numbers]);
      expect(users.map(({ pid, what }) => [pid, what])).toEqual(
        expect.arrayContaining([
          [writer.pid, 'directory'],
          [writer.pid, 'file'],
          [stuck.pid, 'file'],
        ]),
      );
      expect(performance.now() - started).toBeLessThan(5_000);
      dead.answer();
      await once(stuck, 'exit');
    });
  });
});
