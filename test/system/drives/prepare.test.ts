/** `ops prepare` on real devices: unmounted and mounted again as it was; whoever keeps the drive busy is named and nothing is changed. */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { Op, Prepare, Prepared } from '#agent/ops/op';
import { createPrepare } from '#agent/ops/prepare';
import { createRunningBackups } from '#agent/ops/running-backups';
import { runCommand } from '#agent/ports/command';
import { createHostMounts } from '#agent/ports/host-mounts';
import { createProc } from '#agent/ports/proc';
import { parseStorages } from '#agent/ports/proxmox-files';
import { createStorageSwitch } from '#agent/ports/storage-switch';
import { createTurn } from '#agent/turn';
import type { FelhomError } from '#shared/errors';
import { parseMountinfo } from '#shared/mountinfo';
import { openOp } from '../../unit/agent/ops/prepare-host.ts';
import { type Lab, labMissing, run, withLab } from './lab.ts';
import { makeWorld, type World } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

/** Proxmox over the lab's storage.cfg, which the inventory reads too. */
const proxmoxOver = (file: string) => ({
  storageConfigs: async () =>
    parseStorages(readFileSync(file, 'utf8')).map(({ id, type, keys }) => ({
      ...{ storage: id, type, content: keys.content ?? '', path: keys.path ?? '', nodes: [], keys },
      disabled: keys.disable !== undefined,
    })),
  enableStorage: async (id: string, on: boolean) => {
    const text = readFileSync(file, 'utf8');
    const header = `dir: ${id}\n`;
    writeFileSync(file, on ? text.replace(`${header}\tdisable\n`, header) : text.replace(header, `${header}\tdisable\n`));
  },
  backupJobs: async () => [],
  enableBackupJob: async () => undefined,
});

interface Stage {
  world: World;
  device: string;
  point: string;
  op(): Op;
  prepare: Prepare;
  storageCfg(): string;
  /** Of the drive, as mountinfo has them. */
  mounts(): { point: string; root: string; options: readonly string[] }[];
}

const stage = async (lab: Lab): Promise<Stage> => {
  const world = await makeWorld(lab);
  const { device } = await lab.drive({ name: 'backup', serial: 'B1', mb: 32 });
  await lab.mkfs(device, 'ext4');
  const point = join(lab.dir, 'usb backup');
  mkdirSync(point);
  await lab.mount(device, point, '-o', 'nosuid,noatime');
  mkdirSync(join(point, 'dump'));
  const file = join(world.guests.configDir, 'storage.cfg');
  writeFileSync(file, `dir: usb\n\tpath ${point}\n\tcontent backup\n\ndir: local\n\tpath /var/lib/vz\n\tcontent iso\n`);
  world.current.changed();
  const drive = (await world.current.fresh()).drives.find(({ name }) => `/dev/${name}` === device);
  expect(drive).toMatchObject({ role: 'backup' });
  let op = openOp({ drive: drive?.record?.id ?? 0 });
  const { clock, check, inUse } = world.ports;
  const proxmox = proxmoxOver(file);
  const prepare = createPrepare({
    ...{ clock, check, inUse, proxmox, current: world.current, records: world.records, loopDrives: lab.loopDrives },
    journal: () => undefined,
    mounts: createHostMounts({ run: runCommand, proc: createProc(), byUnits: false }),
    resolve: async (path) => (await runCommand('realpath', ['--', path])).trim(),
    storageSwitch: createStorageSwitch({ proxmox, run: runCommand, isHost: false }),
    running: createRunningBackups({
      clock,
      backups: { running: () => [], cancel: () => Promise.reject(new Error('nothing runs')) },
      proxmox: { node: 'pve1', runningVzdump: async () => [], taskLog: async () => [] },
    }),
    letGoArchives: async () => undefined,
    ops: {
      list: () => [op],
      setPrepared: async (_id: string, prepared: readonly Prepared[]) => {
        op = { ...op, prepared };
      },
    },
    job: () => null,
    inTurn: createTurn(),
    audit: async () => undefined,
    changed: () => undefined,
  });
  const mounts = () =>
    parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'))
      .filter(({ source }) => source === device)
      .map(({ point: at, root, options }) => ({ point: at, root, options }));
  return { world, device, point, op: () => op, prepare, storageCfg: () => readFileSync(file, 'utf8'), mounts };
};

const refused = (deed: Promise<unknown>): Promise<FelhomError> =>
  deed.then(
    (reply) => expect.fail(`it was not refused: ${JSON.stringify(reply)}`),
    (error: FelhomError) => error,
  );

/** Runs until the test has seen what it wanted. */
const during = async <T>(script: string, args: readonly string[], act: (pid: number) => Promise<T>): Promise<T> => {
  const child = spawn('/bin/sh', ['-c', script, 'sh', ...args], { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  try {
    return await act(child.pid ?? 0);
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    process.kill(-(child.pid ?? 0), 'SIGKILL');
    await ended;
  }
};

describe.skipIf(labMissing !== '')(`ops prepare${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('unmounted with what is bound of it, free for whoever erases it; undone it is as it was', async () => {
    await withLab(async (lab) => {
      const { world, device, point, op, prepare, storageCfg, mounts } = await stage(lab);
      const bound = join(lab.dir, 'bound');
      mkdirSync(bound);
      await run('mount', '--bind', join(point, 'dump'), bound);
      lab.undo(() => run('umount', bound).catch(() => undefined));
      const text = storageCfg();
      writeFileSync(join(world.guests.configDir, 'storage.cfg'), `${text}\ndir: dumps\n\tpath ${bound}\n\tcontent backup\n`);
      const before = { mounts: mounts(), storages: storageCfg() };
      expect(before.mounts).toHaveLength(2);

      await prepare.prepare(op());
      expect(mounts()).toEqual([]);
      expect(storageCfg().match(/\tdisable\n/g)).toHaveLength(2);
      expect(await world.ports.check.exclusive(device)).toBe('free');
      const drive = (await world.current.fresh()).drives.find(({ name }) => `/dev/${name}` === device);
      expect(drive).toMatchObject({ role: 'backup', holders: [] });
      if (drive) expect(await prepare.obstacles(drive)).toEqual([]);

      await prepare.undo(op());
      expect({ mounts: mounts(), storages: storageCfg() }).toEqual(before);
      expect(op().prepared).toEqual([]);
    });
  });

  test.each([
    ['a process that has a file open', 'exec 3< "$1/."; echo; sleep 60', /sleep|sh\b.*usb backup/],
    [
      'a mount that only a program sees',
      'unshare --mount --propagation private sh -c "echo; sleep 60"',
      /mounted at .*usb backup.*process/,
    ],
  ])('%s keeps it: named, and everything as it was', async (_what, script, sentence) => {
    await withLab(async (lab) => {
      const { point, op, prepare, storageCfg, mounts } = await stage(lab);
      const before = { mounts: mounts(), storages: storageCfg() };
      const { code, message } = await during(script, [point], () => refused(prepare.prepare(op())));
      expect(code).toBe('drive-in-use');
      expect(message).toMatch(sentence);
      expect({ mounts: mounts(), storages: storageCfg() }).toEqual(before);
      expect(op().prepared).toEqual([]);
    });
  });
});
