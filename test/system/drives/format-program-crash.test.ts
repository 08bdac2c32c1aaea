/** The program that formats, when others end, hang or fail: it goes on where it has begun, writes nothing where it has not, and always says which. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import type { Phase } from '#agent/ports/drive-format';
import { bundleSources } from '../../chaos/bundle.ts';
import { ended, formatsIn, formatted, type Order, orderFor, type Stops, stopsIn } from './formatting.ts';
import { hungDrive, hungMissing } from './hung.ts';
import { type Lab, labMissing, outcome, programsMissing, run, withLab } from './lab.ts';
import { digestOf, driveCheck, until } from './touching.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 60_000 });

const missing = labMissing || programsMissing('sfdisk');
const skipped = missing === '' ? '' : ` (skipped: ${missing})`;
const standIn = await bundleSources('format-agent', { main: 'test/system/drives/format-agent-main.ts' });

const PHASES = ['wiping', 'partitioning', 'making', 'checking'] as const satisfies readonly Phase[];
const isSoak = process.env.FELHOM_SOAK === '1';
/** Each costs a second: on a usual run before the first byte of a drive, and with half of it made. */
const SOME_PHASES = isSoak ? PHASES : (['wiping', 'making'] as const);
/** Of a drive: no more than it takes. */
const MB = 24;

/** What stands for the agent, in a process of its own; it holds the drive. */
const agentIn = async (lab: Lab, order: Order, { program }: Stops) => {
  const args = [standIn, join(lab.dir, 'state'), JSON.stringify(order), ...program];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  lab.undo(() => child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String((await lines.next()).value ?? 'it has ended');
  const [said, pid] = (await next()).split(' ');
  expect(said).toBe('held');
  return {
    pid: Number(pid),
    go: async () => {
      child.stdin.write('go\n');
      expect(await next()).toBe('begun');
    },
    kill: async () => {
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
};

const isFree = async (device: string): Promise<boolean> => (await outcome('flock', '-x', '-n', device, 'true')).exit === 0;

describe.skipIf(missing !== '')(`a format that is disturbed${skipped}`, () => {
  test('the agent killed while the drive is held: nothing is written, and the drive is free', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      await lab.mkfs(drive.device, 'ext4');
      const before = await digestOf(drive.device);
      const order = orderFor(drive);
      const agent = await agentIn(lab, order, stopsIn(lab));
      expect(await isFree(drive.device)).toBe(false);
      await agent.kill();
      await until(() => isFree(drive.device));
      const formats = formatsIn(lab);
      await until(async () => (await formats.state(order.jobId)) === null);
      expect(await digestOf(drive.device)).toBe(before);
      expect(await driveCheck().exclusive(drive.device)).toBe('free');
    }));

  test.each(SOME_PHASES)('the agent killed while it is %s, and every signal that can be heeded: it goes on to the end', (phase) =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      const order = orderFor(drive);
      const stops = stopsIn(lab);
      stops.stopAt(phase);
      const agent = await agentIn(lab, order, stops);
      await agent.go();
      await stops.reached(phase);
      await agent.kill();
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGPIPE'] as const) process.kill(agent.pid, signal);
      // As after the agent's restart: other parts, the same file.
      const formats = formatsIn(lab);
      expect(await formats.state(order.jobId)).toMatchObject({ alive: true, state: { phase, pid: agent.pid, outcome: null } });
      expect(await isFree(drive.device)).toBe(false);
      stops.goOn(phase);
      const { outcome: end } = await ended(formats, order.jobId);
      expect(end).toMatchObject({ ok: true, partition: `${drive.device}p1` });
      expect((await outcome('blkid', '-p', '-o', 'value', '-s', 'TYPE', `${drive.device}p1`)).stdout.trim()).toBe('ext4');
    }),
  );

  test.each(SOME_PHASES)('itself killed while it is %s: it is told where it was, and the drive can be formatted again', (phase) =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      const order = orderFor(drive);
      const stops = stopsIn(lab);
      stops.stopAt(phase);
      const held = await formatsIn(lab, { program: stops.program }).hold(order);
      await held.go();
      await stops.reached(phase);
      process.kill(held.pid, 'SIGKILL');
      const formats = formatsIn(lab);
      expect(await ended(formats, order.jobId)).toMatchObject({ phase, outcome: null });
      await until(() => isFree(drive.device));
      expect((await formatted(formats, orderFor(drive))).outcome).toMatchObject({ ok: true });
    }),
  );

  test('itself killed while it holds the drive: it cannot begin, and says so', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      const before = await digestOf(drive.device);
      const formats = formatsIn(lab);
      const order = orderFor(drive);
      const held = await formats.hold(order);
      process.kill(held.pid, 'SIGKILL');
      await expect(held.go()).rejects.toMatchObject({ code: 'internal' });
      expect(await formats.state(order.jobId)).toMatchObject({ alive: false, state: { phase: 'holding', outcome: null } });
      expect(await digestOf(drive.device)).toBe(before);
    }));

  test('that it has begun cannot be written down: it does not begin', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      await lab.mkfs(drive.device, 'ext4');
      const before = await digestOf(drive.device);
      const formats = formatsIn(lab);
      const order = orderFor(drive);
      const held = await formats.hold(order);
      const directory = join(lab.dir, 'state/formats');
      await run('chattr', '+i', directory);
      lab.undo(() => outcome('chattr', '-i', directory));
      await expect(held.go()).rejects.toMatchObject({ code: 'internal' });
      expect(await digestOf(drive.device)).toBe(before);
      expect((await formats.state(order.jobId))?.state.phase).toBe('holding');
    }));

  test('what comes later cannot be written down for a while: it goes on, and says how it ended when it can', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      const stops = stopsIn(lab);
      stops.stopAt('wiping');
      stops.stopAt('checking');
      const formats = formatsIn(lab, { program: stops.program });
      const order = orderFor(drive);
      await (await formats.hold(order)).go();
      const directory = join(lab.dir, 'state/formats');
      await run('chattr', '+i', directory);
      lab.undo(() => outcome('chattr', '-i', directory));
      stops.goOn('wiping');
      await stops.reached('checking');
      expect((await formats.state(order.jobId))?.state.phase).toBe('wiping');
      stops.goOn('checking');
      await until(() => isFree(drive.device));
      await run('chattr', '-i', directory);
      expect((await ended(formats, order.jobId)).outcome).toMatchObject({ ok: true });
    }));

  test.each(PHASES)('it is not the same drive any more when it comes to %s: it goes no further', (phase) =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      await lab.mkfs(drive.device, 'ext4');
      const order = orderFor(drive);
      const stops = stopsIn(lab);
      stops.stopAt(phase);
      const formats = formatsIn(lab, { program: stops.program });
      const held = await formats.hold(order);
      await held.go();
      await stops.reached(phase);
      await run('blockdev', '--flushbufs', drive.device);
      const before = await digestOf(drive.device);
      // As long as it is open no other can have its name; but it can have another size.
      await truncate(drive.file, 2 * MB * 1024 ** 2);
      await run('losetup', '--set-capacity', drive.device);
      stops.goOn(phase);
      expect((await ended(formats, order.jobId)).outcome).toMatchObject({ ok: false, code: 'changed' });
      await truncate(drive.file, MB * 1024 ** 2);
      await run('losetup', '--set-capacity', drive.device);
      expect(await digestOf(drive.device)).toBe(before);
    }),
  );

  // What Ceph writes at the start of its drives, and how a table of DOS ends.
  test.each<[string, string, string]>([
    ['the drive', '', "echo 'bluestore block device' | dd"],
    ['the new partition', 'p1', "echo 'bluestore block device' | dd"],
    ['the end of its first sector', 'p1', "printf '\\125\\252' | dd bs=1 seek=510"],
  ])('somebody writes to %s meanwhile, who does not ask: it is not said to be well', (_what, part, command) =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      const order = orderFor(drive);
      const stops = stopsIn(lab);
      stops.stopAt('checking');
      const formats = formatsIn(lab, { program: stops.program });
      const held = await formats.hold(order);
      await held.go();
      await stops.reached('checking');
      await run('sh', '-c', `${command} of=${drive.device}${part} conv=notrunc,fsync status=none`);
      stops.goOn('checking');
      expect((await ended(formats, order.jobId)).outcome).toMatchObject({ ok: false, code: 'leftovers' });
    }),
  );

  test('the drive is pulled in between: what is plugged in under its name is not touched', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      const order = orderFor(drive);
      const other = await lab.drive({ name: 'other', mb: MB });
      await lab.mkfs(other.device, 'ext4');
      const before = await digestOf(other.file);
      const stops = stopsIn(lab);
      stops.stopAt('opening');
      const holding = formatsIn(lab, { program: stops.program }).hold(order);
      const refused = expect(holding).rejects.toMatchObject({ code: 'changed' });
      await stops.reached('opening');
      await lab.detach(drive);
      await lab.detach(other);
      await run('losetup', drive.device, other.file);
      stops.goOn('opening');
      await refused;
      expect(await digestOf(other.file)).toBe(before);
    }));
});

const withoutHangs = missing || hungMissing;
const unhung = withoutHangs === '' ? '' : ` (skipped: ${withoutHangs})`;

describe.skipIf(withoutHangs !== '')(`a drive that fails while it is formatted${unhung}`, () => {
  test('it does not answer while it is opened: that is said in time, and none is started beside it', () =>
    withLab(async (lab) => {
      const drive = await hungDrive(lab, 'drive');
      const order = orderFor(drive);
      const formats = formatsIn(lab, {
        holdMs: 300,
        program: ['sh', '-c', `dd if=${drive.device} bs=4k iflag=direct of=/dev/null; exec sleep 9`],
      });
      drive.hang();
      await expect(formats.hold(order)).rejects.toMatchObject({ code: 'hung' });
      await expect(formats.hold(order)).rejects.toMatchObject({ code: 'hung', message: expect.stringContaining('earlier') });
      drive.answer();
      await until(
        async () =>
          (await formats.hold(order).catch(({ message }: Error) => message)) !==
          `drive-format ${drive.device}: hung: an earlier one still hangs`,
      );
    }));

  test('it hangs in mkfs and the program is killed: as long as that mkfs is there, no other begins', () =>
    withLab(async (lab) => {
      const drive = await hungDrive(lab, 'drive');
      const order = orderFor(drive);
      const stops = stopsIn(lab);
      stops.stopAt('making');
      const formats = formatsIn(lab, { program: stops.program });
      const held = await formats.hold(order);
      await held.go();
      await stops.reached('making');
      drive.hang();
      stops.goOn('making');
      await until(async () => (await outcome('pgrep', '-x', '-P', String(held.pid), 'mkfs.ext4')).exit === 0);
      process.kill(held.pid, 'SIGKILL');
      expect(await ended(formats, order.jobId)).toMatchObject({ phase: 'making', outcome: null });
      expect(await isFree(drive.device)).toBe(false);

      let isHeld = false;
      const next = formatsIn(lab).hold(orderFor(drive));
      void next.then(() => {
        isHeld = true;
      });
      await pause(500);
      expect(isHeld).toBe(false);
      drive.answer();
      await (await next).letGo();
    }));

  test.each<['lies' | 'fails', RegExp]>([
    ['lies', /does not keep what is written/],
    ['fails', /EIO/],
  ])('%s: nothing is made on it', (how, why) =>
    withLab(async (lab) => {
      const drive = await hungDrive(lab, 'drive');
      await lab.mkfs(drive.device, 'swap');
      const formats = formatsIn(lab);
      const order = orderFor(drive);
      const held = await formats.hold(order);
      drive[how]();
      await held.go();
      const { phase, outcome: end } = await ended(formats, order.jobId);
      drive.answer();
      expect([phase, end]).toEqual(['ended', { ok: false, code: 'io', why: expect.stringMatching(why) }]);
      expect((await outcome('partx', '-s', drive.device)).exit).not.toBe(0);
    }),
  );

  // Waits for the whole of the 10 s that a lock is waited for.
  test.for(isSoak ? [10] : [])('somebody has its lock for good: that is said after %i s', () =>
    withLab(async (lab) => {
      const drive = await lab.drive({ name: 'drive', mb: MB });
      const held = await formatsIn(lab).hold(orderFor(drive));
      await expect(formatsIn(lab).hold(orderFor(drive))).rejects.toMatchObject({ code: 'locked' });
      await held.letGo();
    }),
  );
});
