/** Containers behind a stub Engine: what is held, what is refused, and that everything that ran is back. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Session } from '#controller/quiesced/adapters/adapter';
import { docker } from '#controller/quiesced/adapters/docker';
import { type AppOf, readQuiesce } from '#shared/quiesce/config';
import type { ContainerSpec } from '../../docker/container.ts';
import { composeLabels, type EngineOptions, type StubEngine, startEngine } from '../../docker/engine.ts';

const makeWorld = async (dir: string) => {
  const socket = join(dir, 'docker.sock');
  const world = {
    engine: await startEngine(socket),
    restart: async (options: EngineOptions) => {
      await world.engine.close();
      world.engine = await startEngine(socket, options);
    },
    /** A session as a child of felhom-quiesced opens one: it knows what quiesce.yaml says and nothing else. */
    open: (keys: { [key: string]: unknown; containers: string[] }): Promise<Session> => {
      const settled = readQuiesce({ apps: [{ name: 'app', adapter: 'docker', socket, ...keys }] });
      if (!settled.ok) throw new Error(JSON.stringify(settled));
      const run = () => Promise.reject(new Error('no program is run for containers'));
      const tools = { run, monotonic: () => performance.now(), password: null };
      return docker.open(settled.settings.apps[0] as AppOf<'docker'>, tools);
    },
    up: (name: string) => {
      const { Running, Paused, Restarting } = world.engine.find(name).state;
      return Running && !Paused && !Restarting;
    },
    /** What was asked to change, with names for ids. */
    changes: () =>
      world.engine.calls
        .filter((call) => call.startsWith('POST'))
        .map((call) => {
          const [, ref = '', verb] = /containers\/([^/]+)\/(\w+)/.exec(call) ?? [];
          return `${verb} ${world.engine.containers.find(({ id }) => id === ref)?.spec.name ?? 'gone'}`;
        }),
  };
  return world;
};
type World = Awaited<ReturnType<typeof makeWorld>>;

const it = test.extend<{ w: World }>({
  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads what a fixture needs from it
  w: async ({}, use) => {
    const dir = await mkdtemp(join(tmpdir(), 'felhom-docker-'));
    const world = await makeWorld(dir);
    await use(world);
    await world.engine.close();
    await rm(dir, { recursive: true, force: true });
  },
});

const web: ContainerSpec = { name: 'web', restart: 'unless-stopped' };
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Prepare, look and hold, as far as they come. */
const held = async (session: Session) => {
  const ready = await session.prepare();
  const state = await session.look();
  await session.hold(state, 15_000);
  return { ready, state };
};

describe('stop', () => {
  it.concurrent('stops in the order of quiesce.yaml, and starts in the opposite one', async ({ w }) => {
    w.engine.run(web);
    w.engine.run({ name: 'db' });
    const session = await w.open({ containers: ['web', 'db'] });
    const { ready, state } = await held(session);
    expect(ready).toEqual({ kind: 'docker-stop', running: true });
    expect([w.up('web'), w.up('db')]).toEqual([false, false]);
    expect(await session.stillHeld(9000)).toBe(true);
    await session.release(state);
    expect([w.up('web'), w.up('db')]).toEqual([true, true]);
    expect(w.changes()).toEqual(['stop web', 'stop db', 'start db', 'start web']);
  });

  it.concurrent('a service of compose is every container of it, but none of `compose run`', async ({ w }) => {
    const labels = (number: number) => composeLabels('shop', 'web', number);
    w.engine.run({ name: 'shop-web-1', labels: labels(1) });
    w.engine.run({ name: 'shop-web-2', labels: labels(2) });
    w.engine.run({ name: 'shop-web-run-1', labels: { ...labels(1), 'com.docker.compose.oneoff': 'True' } });
    w.engine.run({ name: 'other-web-1', labels: composeLabels('other', 'web') });
    const session = await w.open({ containers: ['shop/web'] });
    const { state } = await held(session);
    expect(w.engine.containers.map(({ spec }) => [spec.name, w.up(spec.name)])).toEqual([
      ['shop-web-1', false],
      ['shop-web-2', false],
      ['shop-web-run-1', true],
      ['other-web-1', true],
    ]);
    await session.release(state);
    expect(w.engine.containers.every(({ spec }) => w.up(spec.name))).toBe(true);
  });

  it.concurrent('one that somebody stops just before is down as well, and comes back', async ({ w }) => {
    w.engine.run(web);
    const session = await w.open({ containers: ['web'] });
    await session.prepare();
    const state = await session.look();
    await w.engine.find('web').stop();
    await session.hold(state, 15_000);
    expect(await session.stillHeld(9000)).toBe(true);
    await session.release(state);
    expect(w.up('web')).toBe(true);
  });

  it.concurrent('only what ran is stopped and started', async ({ w }) => {
    w.engine.run(web);
    w.engine.create({ name: 'never' });
    w.engine.run({ name: 'done' });
    await w.engine.find('done').stop();
    const session = await w.open({ containers: ['web', 'never', 'done'] });
    const { state } = await held(session);
    await session.release(state);
    expect(w.changes()).toEqual(['stop web', 'start web']);
    expect([w.up('web'), w.up('never'), w.up('done')]).toEqual([true, false, false]);
  });

  it.concurrent('nothing that runs is nothing to hold, and its rest is watched', async ({ w }) => {
    w.engine.create(web);
    const session = await w.open({ containers: ['web'] });
    expect(await session.prepare()).toEqual({ kind: 'docker-stop', running: false });
    expect(await session.look()).toBeNull();
    expect(await session.stillHeld(0)).toBe(true);
    w.engine.find('web').start();
    expect(await session.stillHeld(0)).toBe(false);
    await session.release(null);
    expect(w.changes()).toEqual([]);
  });

  it.concurrent.for<[string, Partial<ContainerSpec>, RegExp | null]>([
    ['0', { onStop: { code: 0 } }, null],
    ['143, its stop signal', { onStop: { code: 143 } }, null],
    ['130, its stop signal SIGINT', { onStop: { code: 130 }, stopSignal: 'SIGINT' }, null],
    ['130, which is not its stop signal', { onStop: { code: 130 } }, /exit code 130/],
    ['137, being killed', { onStop: 'never', stopTimeout: 1 }, /was killed/],
    ['1', { onStop: { code: 1 } }, /exit code 1\b/],
  ])('an end with %s', async ([_what, spec, why], { w }) => {
    w.engine.run({ ...web, ...spec });
    const session = await w.open({ containers: ['web'] });
    await session.prepare();
    const state = await session.look();
    const hold = session.hold(state, 15_000);
    if (why === null) await hold;
    else await expect(hold).rejects.toThrow(why);
    expect(await session.stillHeld(9000)).toBe(why === null);
    await session.release(state);
    expect(w.up('web')).toBe(true);
  });

  it.concurrent.for<[string, (engine: StubEngine, name: string) => void]>([
    ['started by somebody', (engine, name) => engine.find(name).start()],
    ['started and stopped again', (engine, name) => engine.find(name).start() && void engine.find(name).stop()],
    ['made anew', (engine, name) => engine.recreate(name, { start: true })],
    ['joined by another', (engine) => engine.run({ name: 'shop-web-2', labels: composeLabels('shop', 'web', 2) })],
  ])('%s during the hold: it no longer stands, and is let go all the same', async ([_what, act], { w }) => {
    w.engine.run({ name: 'shop-web-1', labels: composeLabels('shop', 'web') });
    const session = await w.open({ containers: ['shop/web'] });
    const { state } = await held(session);
    act(w.engine, 'shop-web-1');
    expect(await session.stillHeld(9000)).toBe(false);
    await session.release(state);
    expect(w.up('shop-web-1')).toBe(true);
  });

  it.concurrent('its own stop time-out is never made shorter', async ({ w }) => {
    w.engine.run({ ...web, stopTimeout: 2, onStop: { code: 0, afterMs: 1500 } });
    const session = await w.open({ containers: ['web'], hold_timeout: '500ms' as never });
    const { state } = await held(session);
    expect(w.engine.find('web').state.ExitCode).toBe(0);
    await session.release(state);
  });
});

describe('pause', () => {
  it.concurrent('pauses and unpauses', async ({ w }) => {
    w.engine.run(web);
    const session = await w.open({ containers: ['web'], how: 'pause' });
    const { ready, state } = await held(session);
    expect(ready.kind).toBe('docker-pause');
    expect(w.engine.find('web').state.Paused).toBe(true);
    expect(await session.stillHeld(9000)).toBe(true);
    w.engine.find('web').unpause();
    expect(await session.stillHeld(9000)).toBe(false);
    w.engine.find('web').pause();
    await session.release(state);
    expect(w.up('web')).toBe(true);
    expect(w.changes()).toEqual(['pause web', 'unpause web']);
  });

  it.concurrent.for<[image: string, command: string[]]>([
    ['postgres:16', []],
    ['ghcr.io/cloudnative-pg/postgresql@sha256:00', []],
    ['docker.io/library/redis', []],
    ['sha256:00', ['docker-entrypoint.sh', 'mysqld']],
  ])('a database is not paused: %s', async ([image, command], { w }) => {
    w.engine.run({ ...web, image, command });
    await expect((await w.open({ containers: ['web'], how: 'pause' })).prepare()).rejects.toThrow(/is a database/);
  });

  it.concurrent('the name of a registry makes no database', async ({ w }) => {
    w.engine.run({ ...web, image: 'redis.example/tools/notes:1' });
    await expect((await w.open({ containers: ['web'], how: 'pause' })).prepare()).resolves.toBeTruthy();
  });
});

describe('what cannot be held is said in prepare, and left alone', () => {
  it.concurrent.for<[string, ContainerSpec, RegExp]>([
    ['--rm', { ...web, autoRemove: true }, /--rm/],
    ['swarm', { ...web, labels: { 'com.docker.swarm.task.id': 'x' } }, /a swarm/],
    ['Kubernetes', { ...web, labels: { 'io.kubernetes.pod.uid': 'x' } }, /Kubernetes/],
    ['no time to stop', { ...web, stopTimeout: 0 }, /0 s/],
    ['crash loop', { ...web, restart: 'always', dies: { code: 1, afterMs: 1 } }, /keeps ending/],
  ])('%s', async ([_what, spec, why], { w }) => {
    w.engine.run(spec);
    await wait(20);
    const session = await w.open({ containers: ['web'] });
    await expect(session.prepare()).rejects.toThrow(why);
    expect(w.changes()).toEqual([]);
  });

  it.concurrent.for<[string, (engine: StubEngine) => void, RegExp]>([
    ['paused', (engine) => engine.run(web).pause(), /is paused/],
    ['killed before', (engine) => engine.run({ name: 'web' }).exit(137), /was killed/],
    ['out of memory before', (engine) => engine.run({ name: 'web' }).exit(0, true), /out of memory/],
    ['missing', () => undefined, /no container web/],
  ])('%s', async ([_what, make, why], { w }) => {
    make(w.engine);
    await expect((await w.open({ containers: ['web'] })).prepare()).rejects.toThrow(why);
    expect(w.changes()).toEqual([]);
  });

  it.concurrent('one that is named by the beginning of its id', async ({ w }) => {
    const { id } = w.engine.run(web);
    await expect((await w.open({ containers: [id.slice(0, 12)] })).prepare()).rejects.toThrow(/no container/);
  });
});

describe('release', () => {
  /** A process that died with the hold: another one knows the state only, as the lease kept it. */
  const afterDeath = async (w: World, containers: string[]) => {
    const { state } = await held(await w.open({ containers }));
    return { state: JSON.parse(JSON.stringify(state)) as typeof state, heir: await w.open({ containers }) };
  };

  it.concurrent('by a new process, twice', async ({ w }) => {
    w.engine.run(web);
    const { state, heir } = await afterDeath(w, ['web']);
    await heir.release(state);
    await heir.release(state);
    expect(w.up('web')).toBe(true);
    expect(w.changes()).toEqual(['stop web', 'start web']);
  });

  it.concurrent.for([['and not started', false] as const, ['and started', true] as const])(
    'of one that was made anew under another id %s',
    async ([_what, start], { w }) => {
      w.engine.run(web);
      const { state, heir } = await afterDeath(w, ['web']);
      w.engine.recreate('web', { start });
      await heir.release(state);
      expect(w.up('web')).toBe(true);
    },
  );

  it.concurrent('of one that compose made anew under another name', async ({ w }) => {
    w.engine.run({ name: 'shop_web_1', labels: composeLabels('shop', 'web') });
    const { state, heir } = await afterDeath(w, ['shop/web']);
    w.engine.remove('shop_web_1');
    w.engine.create({ name: 'shop-web-1', labels: composeLabels('shop', 'web') });
    await heir.release(state);
    expect(w.up('shop-web-1')).toBe(true);
  });

  it.concurrent('after a boot, where unless-stopped stays down', async ({ w }) => {
    w.engine.run(web);
    const { state, heir } = await afterDeath(w, ['web']);
    w.engine.reboot();
    expect(w.up('web')).toBe(false);
    await heir.release(state);
    expect(w.up('web')).toBe(true);
  });

  it.concurrent('of half a hold: a stop that is still under way ends first', async ({ w }) => {
    w.engine.run({ ...web, stopTimeout: 3, onStop: { code: 0, afterMs: 1500 } });
    w.engine.run({ name: 'db' });
    const session = await w.open({ containers: ['web', 'db'] });
    await session.prepare();
    const state = await session.look();
    const hold = session.hold(state, 15_000).catch((error: Error) => error.message);
    await wait(300);
    await session.release(state);
    expect([w.up('web'), w.up('db')]).toEqual([true, true]);
    expect(await hold).toMatch(/let go/);
    await wait(1500);
    expect([w.up('web'), w.up('db')]).toEqual([true, true]);
    expect(w.changes()).toEqual(['stop web', 'start web']);
  });

  it.concurrent('of half a hold, by a new process', async ({ w }) => {
    w.engine.run({ ...web, stopTimeout: 3, onStop: { code: 0, afterMs: 1500 } });
    const session = await w.open({ containers: ['web'] });
    const state = await session.look();
    void session.hold(state, 15_000).catch(() => undefined);
    await wait(300);
    await (await w.open({ containers: ['web'] })).release(state);
    await wait(1500);
    expect(w.up('web')).toBe(true);
  });

  it.concurrent('tells of one that does not start, and starts the others', async ({ w }) => {
    w.engine.run(web);
    w.engine.run({ name: 'db' });
    const session = await w.open({ containers: ['web', 'db'] });
    const { state } = await held(session);
    w.engine.find('db').spec.startFails = 'driver failed programming external connectivity';
    await expect(session.release(state)).rejects.toThrow(/external connectivity/);
    expect(w.up('web')).toBe(true);
    w.engine.find('db').spec.startFails = null;
    await session.release(state);
    expect(w.up('db')).toBe(true);
  });

  it.concurrent.for<[string, Partial<ContainerSpec>]>([
    ['that ends at once', { dies: { code: 1, afterMs: 300 } }],
    ['that keeps ending', { restart: 'always', dies: { code: 1, afterMs: 300 } }],
    ['that ends, and is up again when it is looked at', { restart: 'always', dies: { code: 1, afterMs: 600 } }],
  ])('one %s after its start is not back', async ([_what, change], { w }) => {
    const container = w.engine.run({ name: 'web' });
    const session = await w.open({ containers: ['web'] });
    const { state } = await held(session);
    Object.assign(container.spec, change);
    await expect(session.release(state)).rejects.toThrow(/does not stay up|keeps ending/);
    container.spec.dies = null;
    await wait(1000);
    await session.release(state);
    expect(w.up('web')).toBe(true);
  });

  it.concurrent('one that is gone for good is told of', async ({ w }) => {
    w.engine.run(web);
    const session = await w.open({ containers: ['web'] });
    const { state } = await held(session);
    w.engine.remove('web');
    await expect(session.release(state)).rejects.toThrow(/web ran before the backup and is gone/);
  });
});

describe('an Engine that does not answer', () => {
  it.concurrent('ends a look at the hold within a second, and a release is tried again', async ({ w }) => {
    w.engine.run(web);
    const session = await w.open({ containers: ['web'] });
    const { state } = await held(session);
    w.engine.hang();
    const begun = performance.now();
    await expect(session.stillHeld(9000)).rejects.toThrow(/no answer within/);
    expect(performance.now() - begun).toBeLessThan(1000);
    await expect(session.release(state)).rejects.toThrow(/no answer within/);
    w.engine.go();
    await session.release(state);
    expect(w.up('web')).toBe(true);
  }, 40_000);

  it.concurrent('a stop that it takes up only afterwards does not leave the container down', async ({ w }) => {
    w.engine.run({ ...web, stopTimeout: 1 });
    const session = await w.open({ containers: ['web'] });
    await session.prepare();
    const state = await session.look();
    const { id } = w.engine.find('web');
    w.engine.calls.length = 0;
    const hold = session.hold(state, 15_000).catch((error: Error) => error.message);
    while (!w.engine.calls.includes(`GET /containers/${id}/json`)) await wait(1);
    w.engine.hang();
    await wait(200);
    const release = session.release(state).catch((error: Error) => error.message);
    await wait(500);
    w.engine.go();
    await Promise.all([hold, release]);
    await session.release(state);
    expect(w.up('web')).toBe(true);
  }, 40_000);

  it.concurrent('is said in words', async ({ w }) => {
    const nobody = { containers: ['web'], socket: '/nonexistent/docker.sock' };
    await expect((await w.open(nobody)).prepare()).rejects.toThrow(/is Docker running\?/);
    w.engine.fault('/version', 503, 'starting');
    await expect((await w.open({ containers: ['web'] })).prepare()).rejects.toThrow(/503.*starting/);
  });

  it.concurrent.for<[string, EngineOptions]>([
    ['newer than we are', { apiVersion: '1.57', minApiVersion: '1.44' }],
    ['older than we are', { apiVersion: '1.40', minApiVersion: '1.12' }],
  ])('but one that is %s is asked in its own language', async ([_what, options], { w }) => {
    await w.restart(options);
    w.engine.run(web);
    const session = await w.open({ containers: ['web'] });
    const { state } = await held(session);
    await session.release(state);
    expect(w.up('web')).toBe(true);
  });
});

describe('where data lies', () => {
  const bind = { Type: 'bind', Source: '/srv/photos', Destination: '/photos' };
  const volume = { Type: 'volume', Source: '/var/lib/docker/volumes/v/_data', Destination: '/v', Driver: 'local' };

  it.concurrent('binds, volumes, the own layer and what quiesce.yaml adds', async ({ w }) => {
    const sock = { Type: 'bind', Source: '/var/run/docker.sock', Destination: '/var/run/docker.sock' };
    const tmpfs = { Type: 'tmpfs', Source: '', Destination: '/tmp' };
    w.engine.run({ ...web, mounts: [bind, volume, sock, tmpfs], upperDir: '/var/lib/docker/overlay2/l/diff' });
    const session = await w.open({ containers: ['web'], data: ['/etc/shop'] });
    expect(await session.whereDataLies()).toEqual([
      '/etc/shop',
      '/srv/photos',
      '/var/lib/docker/volumes/v/_data',
      '/var/lib/docker/overlay2/l/diff',
    ]);
  });

  it.concurrent('where the layer is not told, all that the Engine keeps', async ({ w }) => {
    await w.restart({ snapshotter: true });
    w.engine.run({ ...web, upperDir: null });
    expect(await (await w.open({ containers: ['web'] })).whereDataLies()).toEqual(['/var/lib/docker', '/var/lib/containerd']);
  });

  it.concurrent('a volume of a plugin lies where nobody knows', async ({ w }) => {
    w.engine.run({ ...web, mounts: [bind, { ...volume, Driver: 'rclone', Source: '/mnt' }] });
    expect(await (await w.open({ containers: ['web'] })).whereDataLies()).toBeNull();
  });
});
