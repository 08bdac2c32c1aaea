/** The file systems of a virtual machine stand still while its backup begins: nobody waits for a write, and all is back at the thaw. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { cleanUp, later } from '../contract/controller-agent.ts';
import { type Controller, makeWorld, pause, until } from './controller-world.ts';

const able = process.getuid?.() === 0 && existsSync('/dev/loop-control') && existsSync('/sbin/mkfs.ext4');
const SOAK = process.env.FELHOM_SOAK === '1';
/** Proxmox may need so long until its backup server answers, and only then thaws. */
const FROZEN_MS = SOAK ? 130_000 : 8000;

afterEach(cleanUp);

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 })
    .toString()
    .trim();

/** An ext4 of its own on a loop device, which can be frozen; fsfreeze(8). */
const makeDisk = () => {
  const dir = mkdtempSync(join(tmpdir(), 'felhom-frozen-'));
  const undo: (() => void)[] = [() => rmSync(dir, { recursive: true, force: true })];
  later(async () => {
    for (const step of undo.reverse()) step();
  });
  const image = join(dir, 'image');
  writeFileSync(image, '');
  truncateSync(image, 64 * 1024 ** 2);
  run('/sbin/mkfs.ext4', '-q', image);
  const loop = run('/sbin/losetup', '--find', '--show', image);
  undo.push(() => run('/sbin/losetup', '--detach', loop));
  const at = join(dir, 'disk');
  run('/bin/mkdir', at);
  run('/bin/mount', loop, at);
  undo.push(() => run('/bin/umount', '--lazy', at));
  let frozen = false;
  const thaw = () => {
    if (frozen) run('/sbin/fsfreeze', '--unfreeze', at);
    frozen = false;
  };
  undo.push(thaw);
  return {
    at,
    freeze: () => {
      run('/sbin/fsfreeze', '--freeze', at);
      frozen = true;
    },
    thaw,
  };
};

/** In each of the programs: how late its timers ever were since it was last asked, said on stderr whenever SIGUSR2 asks. */
const LAG_METER = `
const { writeSync } = await import('node:fs');
let last = performance.now(), most = 0;
setInterval(() => { const now = performance.now(); most = Math.max(most, now - last - 10); last = now; }, 10).unref();
process.on('SIGUSR2', () => { writeSync(2, 'lag ' + Math.round(most) + '\\n'); most = 0; last = performance.now(); });`;

const lagOf = async (pid: number, log: () => string): Promise<number> => {
  const from = log().length;
  process.kill(pid, 'SIGUSR2');
  await until('the lag is told', () => /lag \d+\n/.test(log().slice(from)));
  return Number(/lag (\d+)/.exec(log().slice(from))?.[1]);
};

describe.skipIf(!able)('a frozen disk (skipped without root, loop devices or mkfs.ext4)', () => {
  const setup = async (holdMax: string) => {
    const disk = makeDisk();
    const before = { TMPDIR: process.env.TMPDIR, NODE_OPTIONS: process.env.NODE_OPTIONS };
    process.env.TMPDIR = disk.at;
    process.env.NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(LAG_METER)}`;
    // Whatever happens the disk is thawed before anybody cleans up on it.
    try {
      const world = await makeWorld({ holdMax });
      const controller = world.run();
      // First of all: a program that waits for the disk cannot be ended.
      later(async () => disk.thaw());
      await until('requested', () => world.lead.posts.length === 1);
      return { disk, world, controller };
    } finally {
      Object.assign(process.env, before);
      for (const [name, value] of Object.entries(before)) if (value === undefined) delete process.env[name];
    }
  };
  const lags = async (world: Awaited<ReturnType<typeof makeWorld>>, controller: Controller) => ({
    controller: await lagOf(controller.child.pid as number, controller.log),
    quiesced: await lagOf(world.quiesced.main(), world.quiesced.log),
  });

  test(
    `${FROZEN_MS / 1000} s within the hold: the event loops run, and all is back within a second of the thaw`,
    async () => {
      const { disk, world, controller } = await setup('5m');
      const { lead, quiesced } = world;
      expect(quiesced.isRunning('app')).toBe(false);
      await pause(300);
      await lags(world, controller);
      disk.freeze();
      await pause(FROZEN_MS);
      const during = await lags(world, controller);
      disk.thaw();
      const thawedAt = performance.now();
      lead.tell({ consistency_point_at: new Date().toISOString(), one_instant: true });
      await until('back', () => quiesced.isRunning('app'));
      const backMs = performance.now() - thawedAt;
      await until('reported', () => lead.reports.length === 1);
      process.stdout.write(`frozen disk: ${JSON.stringify({ ...during, backMs: Math.round(backMs) })}\n`);
      expect(lead.reports[0]?.apps).toMatchObject([{ app: 'app', held: true }]);
      expect(during.controller).toBeLessThanOrEqual(200);
      expect(during.quiesced).toBeLessThanOrEqual(200);
      expect(backMs).toBeLessThanOrEqual(1000);
    },
    FROZEN_MS + 60_000,
  );

  test('frozen past the deadline: let go at the thaw at the latest, never with a stalled event loop, and not counted', async () => {
    const { disk, world, controller } = await setup('2s');
    const { lead, quiesced } = world;
    await pause(300);
    await lags(world, controller);
    disk.freeze();
    await pause(6000);
    const during = await lags(world, controller);
    disk.thaw();
    const thawedAt = performance.now();
    await until('back', () => quiesced.isRunning('app'));
    const backMs = performance.now() - thawedAt;
    lead.tell({ consistency_point_at: new Date().toISOString(), one_instant: true });
    lead.tell({ phase: 'done', label: 'filesystem', finished_at: new Date().toISOString() });
    await until('ended', () => controller.log().includes('the backup is done'));
    process.stdout.write(`frozen past the deadline: ${JSON.stringify({ ...during, backMs: Math.round(backMs) })}\n`);
    expect(lead.reports.flatMap(({ apps }) => apps.filter(({ held }) => held))).toEqual([]);
    expect(during.controller).toBeLessThanOrEqual(200);
    expect(during.quiesced).toBeLessThanOrEqual(200);
    expect(backMs).toBeLessThanOrEqual(1000);
    await until('nothing is left of the lease', () => !quiesced.hasLease(), 10_000);
  }, 60_000);
});
