/** T42: the agent killed in each phase of a format, with its program or without: nothing begins a second time, and whose the drive is stays. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import type { Phase } from '#agent/drive-format/protocol';
import { openStore } from '#agent/ports/store';
import { isAlive } from '../../chaos/alive.ts';
import { bundleSources } from '../../chaos/bundle.ts';
import { askAdmin } from '../../contract/admin-socket.ts';
import { writeAgentConfig } from '../../demo/files.ts';
import { startDemoHost } from '../../demo/host.ts';
import { takeDown } from '../../demo/take-down.ts';
import { type Address, call, get } from '../../stranger/client.ts';
import { udevFor } from './format-agent.ts';
import { type Stops, shownOn, stopsIn } from './formatting.ts';
import { type Lab, type LabDrive, labMissing, withLab } from './lab.ts';
import { program as checkProgram, statOf, until } from './touching.ts';

// Real devices and programs: on a busy machine a test may take long.
vi.setConfig({ testTimeout: 300_000 });

const ALL: readonly Phase[] = ['holding', 'wiping', 'partitioning', 'making', 'checking'];
/** Each takes an agent more. */
const KILLED: readonly [Phase, 'with its program' | 'alone'][] =
  process.env.FELHOM_SOAK === '1'
    ? ALL.flatMap((phase) => [[phase, 'with its program'] as const, [phase, 'alone'] as const])
    : [
        ['holding', 'with its program'],
        ['wiping', 'with its program'],
        ['making', 'alone'],
      ];

interface Running {
  child: ChildProcess;
  address: Address;
  admin: (method: string, path: string, body?: object) => ReturnType<typeof askAdmin>;
}

interface Scene {
  lab: Lab;
  photos: LabDrive;
  stops: Stops;
  stateDir: string;
  start(): Promise<Running>;
}

const agentProgram = await bundleSources('format-crash', {
  main: 'test/system/drives/format-crash-main.ts',
  'store-worker': 'agent/ports/store-worker.ts',
});

const startIn = async (configFile: string, stops: Stops, token: string): Promise<Running> => {
  const args = [agentProgram, configFile, JSON.stringify(checkProgram), JSON.stringify(stops.program)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { port, fingerprint, adminSocket } = JSON.parse(String(line));
  return {
    child,
    address: { host: '127.0.0.1', port, fingerprint, token },
    admin: (...order) => askAdmin(adminSocket, ...order),
  };
};

const kill = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
};

const inScene = (use: (scene: Scene) => Promise<void>): Promise<void> =>
  withLab(async (lab) => {
    const photos = await lab.drive({ name: 'photos', model: 'Portable SSD', serial: 'P1', mb: 32 });
    await lab.mkfs(photos.device, 'ext4', { label: 'photos' });
    const dir = join(lab.dir, 'host');
    mkdirSync(dir);
    chmodSync(lab.dir, 0o711);
    lab.undo(() => takeDown(lab.dir));
    lab.undo(udevFor(lab, [photos]));
    const demo = await startDemoHost({ dir, vmids: [101], unauthorizedDelayMs: 0 });
    lab.undo(() => demo.pve.close());
    const disks = { mount_root: join(lab.dir, 'mnt'), udev_dir: lab.udevDir, loop_drives: lab.loopDrives, guests: [101] };
    const configFile = writeAgentConfig(demo, { dir, port: 8443, limits: { requests_per_second: 1e6, streams: 10 }, disks });
    const stops = stopsIn(lab);
    let token = '';
    const start = async (): Promise<Running> => {
      const running = await startIn(configFile, stops, token);
      lab.undo(() => kill(running.child));
      if (token === '') ({ token } = (await running.admin('POST', '/guests/101/enroll')).bootstrap);
      running.address.token = token;
      await until(async () => (await running.admin('GET', '/drives')).writes_off === '', 20_000);
      return running;
    };
    await use({ lab, photos, stops, stateDir: join(dir, 'agent/state'), start });
  });

const diskOf = async ({ address }: Running, { name }: LabDrive) => {
  await call(address, 'POST', '/disks/eject', { where: '/nothing' });
  return (await get(address, '/disks')).disks.find((disk: { name: string }) => disk.name === name);
};

const askFor = ({ address }: Running, { device }: LabDrive, durable_id = '') =>
  call(address, 'POST', '/disks/format', {
    ...{ device, fstype: 'ext4' },
    ...(durable_id === '' ? {} : { confirmed: true, durable_id }),
  });

/** Of the refusal, as soon as the drive has been looked at. */
const confirmationOf = async (agent: Running, photos: LabDrive): Promise<string> => {
  let id = '';
  await until(async () => {
    const { json } = await askFor(agent, photos);
    id = json.data.needs_confirmation === true ? json.data.durable_id : '';
    return id !== '';
  }, 30_000);
  return id;
};

const partitionsOf = ({ name }: LabDrive): string[] =>
  readdirSync(`/sys/block/${name}`).filter((entry) => entry.startsWith(`${name}p`));

const begunIn = async (stateDir: string): Promise<number> => {
  const store = await openStore(join(stateDir, 'felhom.db'));
  const rows = await store.all("SELECT 1 FROM audit WHERE what = 'format-begun'");
  await store.close();
  return rows.length;
};

/** Killed in this phase. @returns the job's name */
const cutShort = async (agent: Running, scene: Scene, phase: Phase, alone: boolean): Promise<string> => {
  const { photos, stops, stateDir } = scene;
  const id = await confirmationOf(agent, photos);
  stops.stopAt(phase);
  const asked = askFor(agent, photos, id).catch(() => undefined);
  await stops.reached(phase);
  const directory = join(stateDir, 'formats');
  const states = readdirSync(directory).map((name) => JSON.parse(readFileSync(join(directory, name), 'utf8')));
  // One that was let go by force in an earlier round may have left its own.
  const state = states.find(({ pid }) => isAlive(pid));
  await kill(agent.child);
  await asked;
  if (!alone) process.kill(state.pid, 'SIGKILL');
  stops.goOn(phase);
  rmSync(join(scene.lab.dir, 'stops', `at-${phase}`));
  return state.jobId;
};

describe.skipIf(labMissing !== '')(`a format that is cut short${labMissing && ` (skipped: ${labMissing})`}`, () => {
  test('killed in each phase, alone or with its program', () =>
    inScene(async (scene) => {
      const { photos, stateDir } = scene;
      let agent = await scene.start();
      let formats = 0;
      for (const [phase, what] of KILLED) {
        const jobId = await cutShort(agent, scene, phase, what === 'alone');
        const before = await begunIn(stateDir);
        agent = await scene.start();
        const job = async () => (await call(agent.address, 'GET', `/jobs/${jobId}`)).json.data;
        const isBegun = phase !== 'holding';
        if (!isBegun) {
          // It had not even been written down.
          expect([phase, await job(), before]).toEqual([phase, null, formats]);
          continue;
        }
        formats += 1;
        await until(async () => (await job()).state !== 'running', 20_000);
        expect([phase, await job()]).toMatchObject([phase, { state: what === 'alone' ? 'done' : 'interrupted' }]);
        let disk = await diskOf(agent, photos);
        // On a busy machine a program may look like one that hangs.
        await until(async () => {
          disk = await diskOf(agent, photos);
          return disk.state === 'available';
        }, 30_000);
        expect([phase, disk]).toMatchObject([
          phase,
          { owner: formats === 1 && what !== 'alone' ? 'free' : 'yours', role: 'user-data' },
        ]);
        const problems = (await get(agent.address, '/problems')).problems.map(({ code }: { code: string }) => code);
        expect(problems.includes('format-interrupted')).toBe(what !== 'alone');
        if (what === 'alone') {
          const made = await shownOn(photos, partitionsOf(photos));
          expect([disk.durable_id, made.fstype]).toEqual([`uuid:${made.uuid}`, 'ext4']);
        } else {
          expect(disk.data_reason).toMatch(/interrupted/);
          const writes = statOf(photos).split(/\s+/)[7];
          await new Promise((resolve) => setTimeout(resolve, 1_500));
          expect([phase, statOf(photos).split(/\s+/)[7]]).toEqual([phase, writes]);
        }
        expect([phase, before]).toEqual([phase, formats]);
      }
      // A new confirmation, and it is a drive again.
      let done = await askFor(agent, photos, await confirmationOf(agent, photos));
      // A busy machine has not looked at it in time: asked again, as the answer says.
      await until(async () => {
        if (done.json.code === 'not-known') done = await askFor(agent, photos, await confirmationOf(agent, photos));
        return done.json.code !== 'not-known';
      }, 30_000);
      expect(done.json.data, done.json.error).toMatchObject({ formatted: true });
      expect(await diskOf(agent, photos)).toMatchObject({ owner: 'yours', role: 'user-data', not_assignable: '' });
      await until(async () => (await get(agent.address, '/problems')).problems.length === 0);
    }));
});
