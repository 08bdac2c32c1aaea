/** The program that formats, as the agent runs it, on real devices: what it makes, what it refuses, and that it writes only when told to. */
import { spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { DriveFormatError, type FormatOrder } from '#agent/ports/drive-format';
import { parseMountinfo } from '#shared/mountinfo';
import { ended, formatsIn, formatted, type Order, orderFor, shownOn, stopsIn } from './formatting.ts';
import { kernelMounts, type Lab, type LabDrive, labMissing, outcome, programsMissing, run, withLab } from './lab.ts';
import { deviceOf, digestOf, driveCheck } from './touching.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 60_000 });

const MIB = 1024 ** 2;
const missing = labMissing || programsMissing('sfdisk', 'mkfs.xfs', 'mkfs.btrfs', 'mkfs.exfat');
const skipped = missing === '' ? '' : ` (skipped: ${missing})`;

const partitionsOf = async (drive: LabDrive): Promise<string[]> => (await deviceOf(drive)).partitions.map(({ name }) => name);

const refusal = async (work: Promise<unknown>): Promise<DriveFormatError> => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DriveFormatError);
  return error as DriveFormatError;
};

const ownerOf = (point: string): string => `${statSync(point).uid}:${statSync(point).gid}`;

describe.skipIf(missing !== '')(`formatting a drive${skipped}`, () => {
  test.each<[FormatOrder['fstype'], string[]]>([
    ['ext4', ['ext4']],
    ['xfs', ['xfs']],
    ['btrfs', ['btrfs']],
    ['exfat', ['dos', 'exfat']],
  ])('%s, on the smallest drive that is taken', (fstype, types) =>
    withLab(async (lab) => {
      const formats = formatsIn(lab);
      const drive = await lab.drive({ name: 'drive', mb: formats.minBytes(fstype) / MIB });
      const order = orderFor(drive, { fstype });
      const { phase, outcome: end } = await formatted(formats, order);
      const shown = await shownOn(drive, await partitionsOf(drive));
      expect(end).toEqual({ ok: true, uuid: shown.uuid, partition: `${drive.device}p1` });
      expect([phase, shown]).toEqual([
        'ended',
        { types: { [drive.name]: ['PMBR', 'gpt', 'gpt'], [`${drive.name}p1`]: types }, fstype, uuid: shown.uuid },
      ]);
      expect(await driveCheck().exclusive(drive.device)).toBe('free');
      expect((await outcome('flock', '-n', drive.device, 'true')).exit).toBe(0);
      if (!(await kernelMounts(fstype))) return;
      const point = join(lab.dir, 'mnt');
      await lab.mount(`${drive.device}p1`, point);
      expect(ownerOf(point)).toBe(fstype === 'ext4' ? '100000:100000' : '0:0');
      const mount = parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')).find((one) => one.point === point);
      expect(mount?.source).toBe(`${drive.device}p1`);
      await formats.forget(order.jobId);
      expect(await formats.state(order.jobId)).toBe(null);
    }),
  );

  test('on a drive that is written in blocks of 4096 bytes', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: 32 });
      await run('losetup', '--sector-size', '4096', drive.device);
      const { outcome: end } = await formatted(formatsIn(lab), orderFor(drive));
      expect(end).toEqual({ ok: true, uuid: expect.any(String), partition: `${drive.device}p1` });
      const [partition] = (await deviceOf(drive)).partitions;
      expect(partition?.startBytes).toBe(MIB);
    }));

  test.each<[string, (order: Order) => Partial<Order>]>([
    ['another sequence number', ({ diskseq }) => ({ diskseq: diskseq + 1 })],
    ['another size', ({ sizeBytes }) => ({ sizeBytes: sizeBytes + 512 })],
    ['other numbers', () => ({ numbers: '7:250' })],
    ['no such device', () => ({ device: '/dev/felhom-none' })],
    ['no block device', () => ({ device: '/dev/null' })],
  ])('%s: it is not the drive that was meant', (_what, change) =>
    withLab(async (lab) => {
      const formats = formatsIn(lab);
      const drive = await lab.drive({ name: 'drive', mb: 32 });
      await lab.mkfs(drive.device, 'ext4');
      const before = await digestOf(drive.device);
      const order = orderFor(drive);
      expect(await refusal(formats.hold({ ...order, ...change(order) }))).toMatchObject({ code: 'changed' });
      expect([await digestOf(drive.device), await formats.state(order.jobId)]).toEqual([before, null]);
    }),
  );

  test.each<[string, (lab: Lab, drive: LabDrive) => Promise<unknown>]>([
    [
      'mounted',
      async (lab, { device }) => {
        await lab.mkfs(device, 'ext4');
        await lab.mount(device, join(lab.dir, 'mnt'));
      },
    ],
    [
      'one of its partitions mounted, where only another process sees it',
      async (lab, drive) => {
        const [, part = ''] = await lab.partition(drive, 'label: gpt\n,20M\n,\n');
        await lab.mkfs(part, 'ext4');
        const point = join(lab.dir, 'mnt');
        const script = `mkdir ${point} && mount ${part} ${point} && echo ready && exec sleep 600`;
        const child = spawn('/usr/bin/unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script]);
        lab.undo(() => child.kill('SIGKILL'));
        await new Promise((resolve) => child.stdout.once('data', resolve));
      },
    ],
    [
      'swap on it',
      async (lab, { device }) => {
        await lab.mkfs(device, 'swap');
        await run('swapon', device);
        lab.undo(() => run('swapoff', device));
      },
    ],
  ])('%s: somebody has it', (_what, use) =>
    withLab(async (lab) => {
      const formats = formatsIn(lab);
      const drive = await lab.drive({ name: 'drive', mb: 32 });
      await use(lab, drive);
      const order = orderFor(drive);
      expect(await refusal(formats.hold(order))).toMatchObject({ code: 'busy' });
      expect(await formats.state(order.jobId)).toBe(null);
    }),
  );

  test('nothing is written before it is told to; let go, the drive is as it was and free', () =>
    withLab(async (lab) => {
      const formats = formatsIn(lab);
      const drive = await lab.drive({ name: 'drive', mb: 32 });
      await lab.mkfs(drive.device, 'ext4');
      const before = await digestOf(drive.device);
      const order = orderFor(drive);
      const held = await formats.hold(order);
      expect(await formats.state(order.jobId)).toMatchObject({
        alive: true,
        state: { pid: held.pid, phase: 'holding', outcome: null },
      });
      expect(await driveCheck().exclusive(drive.device)).toBe('busy');
      const users = await driveCheck().users([drive.numbers]);
      expect(users).toMatchObject([{ pid: held.pid, what: 'device' }, { pid: held.pid }].slice(0, users.length));
      expect(users.length).toBeGreaterThan(0);
      expect(await driveCheck().users([drive.numbers], [], [held.pid])).toEqual([]);
      await held.letGo();
      expect([await digestOf(drive.device), await formats.state(order.jobId)]).toEqual([before, null]);
      expect(await driveCheck().exclusive(drive.device)).toBe('free');
      expect((await formatted(formats, order)).outcome).toMatchObject({ ok: true });
    }));

  test('from when it is held until it has ended nobody else gets the drive', () =>
    withLab(async (lab) => {
      const stops = stopsIn(lab);
      const formats = formatsIn(lab, { program: stops.program });
      const drive = await lab.drive({ name: 'drive', mb: 32 });
      const [part = ''] = await lab.partition(drive, 'label: gpt\n,\n');
      await lab.mkfs(part, 'ext4');
      for (const phase of ['wiping', 'partitioning', 'making', 'checking'] as const) stops.stopAt(phase);
      const order = orderFor(drive);
      await (await formats.hold(order)).go();

      const point = join(lab.dir, 'mnt');
      const mounted = async (device: string): Promise<number> => (await outcome('mount', device, point)).exit;
      /** What udev does before it looks at a drive (flock(1)): it waits. */
      const udevGets = async (): Promise<boolean> => (await outcome('flock', '-s', '-n', drive.device, 'true')).exit === 0;
      await run('mkdir', point);
      for (const phase of ['wiping', 'partitioning', 'making'] as const) {
        await stops.reached(phase);
        const devices = [drive.device, ...(await partitionsOf(drive)).map((name) => `/dev/${name}`)];
        for (const device of devices) expect([phase, device, await mounted(device)]).not.toEqual([phase, device, 0]);
        expect([phase, await udevGets()]).toEqual([phase, false]);
        stops.goOn(phase);
      }
      await stops.reached('checking');
      expect(await udevGets()).toBe(false);
      stops.goOn('checking');
      expect((await ended(formats, order.jobId)).outcome).toMatchObject({ ok: true });
      expect(await udevGets()).toBe(true);
    }));

  test('whoever has its lock for a moment, as udev does, is waited for', () =>
    withLab(async (lab) => {
      const formats = formatsIn(lab);
      const drive = await lab.drive({ name: 'drive', mb: 32 });
      const child = spawn('/usr/bin/flock', ['-s', drive.device, 'sh', '-c', 'echo ready; exec sleep 1'], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      lab.undo(() => child.kill());
      await new Promise((resolve) => child.stdout.once('data', resolve));
      const held = await formats.hold(orderFor(drive));
      expect(child.exitCode).toBe(0);
      await held.letGo();
    }));
});
