/** felhom-quiesced as real processes, killed, stopped and refused: every application that was held comes back, and no other starts. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import Database from 'better-sqlite3';
import { afterEach, describe, expect, test } from 'vitest';
import { MOST_LINE_BYTES } from '#shared/quiesce/protocol';
import { cleanUp, later } from '../contract/controller-agent.ts';
import { isAlive } from './alive.ts';
import { connectQuiesced } from './quiesced-client.ts';
import { makeQuiescedWorld, pause, type QuiescedWorld, signal, until, worldOfFiles } from './quiesced-world.ts';

afterEach(cleanUp);

const ACTIVATE = '/usr/bin/systemd-socket-activate';
const isRoot = process.geteuid?.() === 0;
const ALL = { apps: [], within_ms: 30_000 };
const back = (world: QuiescedWorld, name: string, ms?: number) => until(`${name} is back`, () => world.isRunning(name), ms);
/** A world with these applications, already held. */
const held = async (names: string[], options: Parameters<typeof worldOfFiles>[1] = {}) => {
  const world = await worldOfFiles(names, options);
  await world.run();
  const client = await world.client();
  const hold = await client.holdNow(names);
  expect(hold.apps.map(({ held: stands }) => stands)).toEqual(names.map(() => true));
  expect(names.filter(world.isRunning)).toEqual([]);
  return { world, client, hold, heldAt: performance.now() };
};

describe('an attempt', () => {
  test('prepare, hold, check, release: and all is as before', async () => {
    const world = await worldOfFiles(['a', 'b']);
    await world.run();
    const client = await world.client();
    const { apps: ready } = await client.must('prepare', ALL);
    expect(ready).toMatchObject([
      { app: 'a', ok: true, kind: 'command-app', running: true, hold: 'auto', data: [{ path: world.dir }] },
      { app: 'b', ok: true },
    ]);
    const hold = await client.must('hold', { apps: ['b'], hold_expected_ms: 1000, flush: true });
    expect(hold.apps).toMatchObject([{ app: 'b', held: true, error: '' }]);
    expect(hold.left_ms).toBeGreaterThan(15_000);
    expect(hold.left_ms).toBeLessThanOrEqual(18_000);
    expect([world.isRunning('a'), world.isRunning('b'), world.hasLease(), world.hasMarker()]).toEqual([true, false, true, true]);
    expect(world.lease().apps.map(({ app }) => app.name)).toEqual(['b']);
    expect((await client.must('check', {})).apps).toEqual([
      { app: 'a', stands: true, frozen_ms: null, error: '' },
      { app: 'b', stands: true, frozen_ms: null, error: '' },
    ]);
    expect((await client.must('status', {})).lease).toMatchObject({ apps: ['b'] });
    expect((await client.must('release', {})).apps).toMatchObject([{ app: 'b', back: true, error: '' }]);
    expect(world.isRunning('b')).toBe(true);
    await until('nothing is left', () => !world.hasLease() && !world.hasMarker() && world.children().length === 0);
    expect([world.appLog('a'), world.appLog('b')]).toEqual([[], ['pre', 'post']]);
  });

  test('while it holds it writes nothing, neither a file nor a line', async () => {
    const { world, client } = await held(['a']);
    const log = world.log();
    const lease = await readFile(world.at('state/lease.json'), 'utf8');
    await pause(1500);
    expect([world.log(), await readFile(world.at('state/lease.json'), 'utf8')]).toEqual([log, lease]);
    await client.must('release', {});
    await until('the log says it', () => world.log().includes('a: back'));
  });

  test('of another connection is refused as busy, until it ends; status is always told', async () => {
    const { world, client } = await held(['a']);
    const other = await world.client();
    await expect(other.ask('prepare', ALL)).resolves.toMatchObject({ ok: false, code: 'busy' });
    await expect(other.ask('hold', { apps: ['a'], hold_expected_ms: null, flush: false })).resolves.toMatchObject({
      code: 'busy',
    });
    await expect(other.must('release', {})).resolves.toEqual({ apps: [] });
    await expect(other.must('status', {})).resolves.toMatchObject({ lease: { apps: ['a'] } });
    expect(world.isRunning('a')).toBe(false);
    await client.close();
    await until('the other has its turn', async () => (await other.ask('prepare', ALL)).ok);
  });

  test('one that ends while it makes ready leaves no child behind that the next would come on top of', async () => {
    const world = await worldOfFiles(['a', 'b']);
    await world.run();
    let most = 0;
    const counting = setInterval(() => {
      most = Math.max(most, world.children().length);
    }, 20);
    for (let time = 0; time < 10; time++) {
      const client = await world.client();
      client.ask('prepare', ALL).catch(() => undefined);
      await pause(30);
      await client.close();
    }
    await until('none is left', () => world.children().length === 0);
    clearInterval(counting);
    expect(most).toBeLessThanOrEqual(2);
    const client = await world.client();
    await expect(client.holdNow(['a'])).resolves.toMatchObject({ apps: [{ held: true }] });
  });

  test.each([
    ['no JSON', 'hello\n'],
    ['no verb', '{"id":7}\n'],
    ['a verb that is not there', '{"id":7,"verb":"format"}\n'],
    ['a key too many', '{"id":7,"verb":"status","sudo":true}\n'],
    ['bytes that are no text', Buffer.from([0xff, 0xfe, 0x0a])],
    ['a name that is none', '{"id":7,"verb":"prepare","apps":["../x"],"within_ms":1}\n'],
    ['hold before prepare', '{"id":7,"verb":"hold","apps":["a"],"hold_expected_ms":null,"flush":false}\n'],
    ['check of nothing', '{"id":7,"verb":"check"}\n'],
    ['an application that is not there', '{"id":7,"verb":"prepare","apps":["zz"],"within_ms":1000}\n'],
  ])('%s is `invalid`, and the connection goes on', async (_what, bytes) => {
    const world = await worldOfFiles(['a']);
    await world.run();
    const client = await world.client();
    await expect(client.raw(bytes)).resolves.toMatchObject({ ok: false, code: 'invalid' });
    await expect(client.must('status', {})).resolves.toMatchObject({ lease: null });
    expect(world.starts()).toBe(1);
  });

  test.each([
    ['asks without an end and reads no answer', 1],
    ['connects without an end', 3000],
  ])('one that %s does not end it, nor what is held', async (_what, connections) => {
    const { world, client } = await held(['a']);
    const sockets = Array.from({ length: connections }, () => connect(world.at('socket')).on('error', () => undefined));
    later(async () => sockets.forEach((socket) => void socket.destroy()));
    for (const socket of sockets) socket.pause();
    const [greedy] = sockets;
    if (connections === 1) for (let time = 0; time < 100_000; time++) greedy?.write('{"id":7,"verb":"status"}\n');
    await pause(3000);
    expect(world.starts()).toBe(1);
    await expect(client.must('check', {})).resolves.toMatchObject({ apps: [{ stands: true }] });
    const rss = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${world.main()}/status`, 'utf8'))?.[1]);
    expect(rss).toBeLessThan(100_000);
  });

  test('a line without an end is refused, and the connection ended', async () => {
    const world = await worldOfFiles(['a']);
    await world.run();
    const client = await world.client();
    await expect(client.raw('x'.repeat(MOST_LINE_BYTES + 2))).resolves.toMatchObject({ ok: false, code: 'invalid' });
    await client.ended;
    expect(await world.answers()).toBe(true);
  });
});

describe('let go', () => {
  test('when the connection ends', async () => {
    const { world, client } = await held(['a', 'b']);
    await client.close();
    await Promise.all([back(world, 'a', 2000), back(world, 'b', 2000)]);
    await until('no lease', () => !world.hasLease());
  });

  test('in the middle of holding: the one being held comes back, the next is not touched', async () => {
    const world = await worldOfFiles(['a', 'b'], { more: { a: { pre: 'sleep 30' } } });
    await world.run();
    const client = await world.client();
    await client.must('prepare', ALL);
    const holding = client.must('hold', { apps: ['a', 'b'], hold_expected_ms: null, flush: false });
    await until('a is being held', () => !world.isRunning('a'));
    await expect(client.must('release', {})).resolves.toMatchObject({ apps: [{ app: 'a', back: true }] });
    await expect(holding).resolves.toMatchObject({ left_ms: 0, apps: [{ held: false }, { app: 'b', held: false }] });
    expect([world.isRunning('a'), world.appLog('b')]).toEqual([true, []]);
    await until('no lease', () => !world.hasLease());
  });

  test('at the deadline', async () => {
    const { world, client } = await held(['a'], { holdMax: '1s' });
    await back(world, 'a', 2000);
    await expect(client.must('check', {})).resolves.toMatchObject({ apps: [{ app: 'a', stands: false }] });
    await expect(client.must('release', {})).resolves.toMatchObject({ apps: [{ app: 'a', back: true }] });
    expect(world.appLog('a')).toEqual(['pre', 'post']);
  });

  test('a pre that takes too long: its whole group is ended, what it did is undone, and the others are held', async () => {
    const world = await worldOfFiles(['a', 'b'], { more: { a: { pre: 'sleep 77 & wait', hold_timeout: '400ms' } } });
    await world.run();
    const client = await world.client();
    const hold = await client.holdNow(['a', 'b']);
    expect(hold.apps).toMatchObject([
      { app: 'a', held: false, error: expect.stringContaining('longer than') },
      { app: 'b', held: true },
    ]);
    await back(world, 'a', 3000);
    expect(world.isRunning('b')).toBe(false);
    expect(execFileSync('/bin/sh', ['-c', `ps -eo args | grep -c "[s]leep 77" || :`]).toString().trim()).toBe('0');
    expect(world.appLog('a')).toEqual(['pre', 'post']);
  });

  test('a pre that fails: undone at once, and the others are held', async () => {
    const world = await worldOfFiles(['a', 'b'], { more: { a: { pre: 'exit 3' } } });
    await world.run();
    const client = await world.client();
    await expect(client.holdNow(['a', 'b'])).resolves.toMatchObject({
      apps: [
        { app: 'a', held: false, error: 'pre ended with status 3' },
        { app: 'b', held: true },
      ],
    });
    await back(world, 'a', 2000);
    await expect(client.must('release', {})).resolves.toMatchObject({ apps: [{ app: 'a' }, { app: 'b', back: true }] });
  });

  test('one that hangs does not delay the others; and is waited for until it is back', async () => {
    const post = 'until test -e $D/may-start; do sleep 0.1; done';
    const world = await worldOfFiles(['a', 'b', 'c'], { more: { b: { post } } });
    await world.run();
    const client = await world.client();
    await client.holdNow(['a', 'b', 'c']);
    const releasing = client.must('release', {});
    await Promise.all([back(world, 'a', 1000), back(world, 'c', 1000)]);
    await expect(releasing).resolves.toMatchObject({
      apps: [{ back: true }, { app: 'b', back: false, error: expect.stringMatching(/./) }, { back: true }],
    });
    await expect(client.must('status', {})).resolves.toMatchObject({ lease: null, not_back: [{ app: 'b' }] });
    await until(
      'the lease names b only',
      () =>
        world
          .lease()
          .apps.map(({ app }) => app.name)
          .join() === 'b',
    );
    // Not made ready again before it is back.
    await expect(client.must('prepare', ALL)).resolves.toMatchObject({
      apps: [{ ok: true }, { app: 'b', ok: false }, { ok: true }],
    });
    await writeFile(world.at('may-start'), '');
    await back(world, 'b', 15_000);
    await until('no lease', () => !world.hasLease());
  });

  test('a post that fails is repeated', async () => {
    const { world, client } = await held(['a'], { more: { a: { post: 'test -e $D/may-start || exit 1' } } });
    await expect(client.must('release', {})).resolves.toMatchObject({
      apps: [{ app: 'a', back: false, error: 'post ended with status 1' }],
    });
    await writeFile(world.at('may-start'), '');
    await back(world, 'a', 3000);
  });
});

describe('killed', () => {
  test('the main process: the child lets go by itself, with nobody to help', async () => {
    const { world } = await held(['a', 'b'], { restart: false });
    process.kill(world.main(), 'SIGKILL');
    await Promise.all([back(world, 'a', 2000), back(world, 'b', 2000)]);
    await until('no child stays', () => world.children().length === 0);
  });

  test('the main process: its next start ends the lease, and serves', async () => {
    const { world } = await held(['a']);
    const killed = world.main();
    process.kill(killed, 'SIGKILL');
    await back(world, 'a', 2000);
    await until('it is back itself', async () => (await world.answers()) && world.main() !== killed);
    await until('no lease', () => !world.hasLease() && !world.hasMarker());
    const client = await world.client();
    await expect(client.holdNow(['a'])).resolves.toMatchObject({ apps: [{ held: true }] });
  });

  test('the child: the application is let go at once, and the hold is said to be over', async () => {
    const { world, client } = await held(['a', 'b']);
    const [log, lease] = [world.log(), await readFile(world.at('state/lease.json'), 'utf8')];
    process.kill(world.childOf('a'), 'SIGKILL');
    await back(world, 'a', 3000);
    // While b is held, neither a line nor a file is written.
    await pause(500);
    expect([world.log(), await readFile(world.at('state/lease.json'), 'utf8')]).toEqual([log, lease]);
    await expect(client.must('check', {})).resolves.toMatchObject({ apps: [{ app: 'a', stands: false }, { stands: true }] });
    expect(world.isRunning('b')).toBe(false);
    await expect(client.must('release', {})).resolves.toMatchObject({ apps: [{ back: true }, { back: true }] });
  });

  test('the child, in the middle of its command: that is ended too, and what it did is undone', async () => {
    const world = await worldOfFiles(['a'], { more: { a: { pre: 'sleep 78; touch $D/went-on' } } });
    await world.run();
    const client = await world.client();
    await client.must('prepare', ALL);
    const holding = client.must('hold', { apps: ['a'], hold_expected_ms: null, flush: false });
    await until('its command runs', () => world.appLog('a').length === 1);
    await pause(200);
    process.kill(world.childOf('a'), 'SIGKILL');
    await expect(holding).resolves.toMatchObject({ apps: [{ held: false }] });
    await back(world, 'a', 3000);
    expect(execFileSync('/bin/sh', ['-c', 'ps -eo args | grep -c "[s]leep 78" || :']).toString().trim()).toBe('0');
  });

  test('the child of a database that is gone by then: a fresh one sees that nothing is held', async () => {
    const world = await makeQuiescedWorld();
    const path = world.at('notes.db');
    new Database(path).exec('CREATE TABLE kept (n)').close();
    await world.writeConfig({ apps: [{ name: 'a', adapter: 'sqlite', path }] });
    await world.run();
    const client = await world.client();
    await expect(client.holdNow(['a'])).resolves.toMatchObject({ apps: [{ held: true }] });
    await rm(path);
    process.kill(world.childOf('a'), 'SIGKILL');
    await until('nothing is held', () => !world.hasLease(), 5000);
    await expect(client.must('status', {})).resolves.toMatchObject({ not_back: [] });
  });

  test('the child, when no other can be started: tried until one can', async () => {
    const { world, client } = await held(['a']);
    const limit = (files: number) => execFileSync('/usr/bin/prlimit', [`--pid=${world.main()}`, `--nofile=${files}:4096`]);
    limit(world.openFiles(world.main()).length - 3);
    process.kill(world.childOf('a'), 'SIGKILL');
    await expect(client.must('release', {})).resolves.toMatchObject({ apps: [{ app: 'a', back: false }] });
    const other = connect(world.at('socket')).on('error', () => undefined);
    await pause(500);
    other.destroy();
    expect([world.isRunning('a'), world.starts()]).toEqual([false, 1]);
    limit(4096);
    await back(world, 'a', 10_000);
    await until('no lease', () => !world.hasLease());
  });

  test('all of them at once', async () => {
    const { world } = await held(['a', 'b']);
    const children = world.children();
    process.kill(world.main(), 'SIGSTOP');
    for (const { pid } of children) process.kill(pid, 'SIGKILL');
    process.kill(world.main(), 'SIGKILL');
    await Promise.all([back(world, 'a', 5000), back(world, 'b', 5000)]);
    await until('no lease', () => !world.hasLease());
  });

  test('the main process, with a child that is stopped: the next start ends that one', async () => {
    const { world } = await held(['a']);
    const child = world.childOf('a');
    process.kill(child, 'SIGSTOP');
    process.kill(world.main(), 'SIGKILL');
    await back(world, 'a', 4000);
    await until('it has gone', () => !isAlive(child));
  });
});

test('a signal that would open the debugger of a child, which the application may send it, opens none', async () => {
  const { world, client } = await held(['a']);
  process.kill(world.childOf('a'), 'SIGUSR1');
  await expect(client.must('check', {})).resolves.toMatchObject({ apps: [{ stands: true }] });
  await client.must('release', {});
  await until('the log says it', () => world.log().includes('a: back'));
  expect(world.log()).not.toContain('Debugger listening');
});

describe('stopped past the deadline', () => {
  test('the main process: the child lets go in time', async () => {
    const { world } = await held(['a'], { holdMax: '2s' });
    process.kill(world.main(), 'SIGSTOP');
    await back(world, 'a', 2000 + 1500);
    signal(world.main(), 'SIGCONT');
    await until('no lease', () => !world.hasLease());
    expect(world.appLog('a')).toEqual(['pre', 'post']);
  });

  test('the child: the main process ends it, and a fresh one lets go', async () => {
    const { world } = await held(['a'], { holdMax: '2s' });
    const child = world.childOf('a');
    process.kill(child, 'SIGSTOP');
    await back(world, 'a', 2000 + 5000);
    await until('it has gone', () => !isAlive(child));
    await until('the log says it', () => world.log().includes('a fresh one lets it go'));
  });

  test('a command of the child: it is ended with its group', async () => {
    const { world, client } = await held(['a'], {
      more: { a: { post: 'test -e $D/once || { touch $D/once; kill -STOP $$; }', timeout: '1s' } },
    });
    const releasing = client.must('release', {});
    await back(world, 'a', 15_000);
    await releasing;
  });
});

describe('frozen, all of them', () => {
  const freeze = async (world: QuiescedWorld, ms: number, meanwhile = async () => {}) => {
    const pids = [...world.children().map(({ pid }) => pid), world.main()];
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await meanwhile();
    await pause(ms);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
  };

  test('past the deadline: a question that waits is answered before anything is let go', async () => {
    const { world, client } = await held(['a'], { holdMax: '2s' });
    let answer = Promise.resolve({}) as Promise<unknown>;
    await freeze(world, 5000, async () => {
      answer = client.must('check', {});
    });
    await expect(answer).resolves.toMatchObject({ apps: [{ stands: true, frozen_ms: null }] });
    expect(world.isRunning('a')).toBe(false);
    await expect(client.must('release', {})).resolves.toMatchObject({ apps: [{ back: true }] });
  });

  test('past the deadline, and nobody asks: let go after the grace', async () => {
    const { world } = await held(['a'], { holdMax: '2s' });
    await freeze(world, 5000);
    await back(world, 'a', 5000 + 1500);
  });

  test('a hold that ended within the freeze is said to have stood until then', async () => {
    const check = (dir: string) => ({ argv: ['/usr/bin/test', '-e', `${dir}/lock`] });
    const world = await makeQuiescedWorld();
    await world.writeConfig({ apps: [world.fileApp('a', { check: check(world.dir) })] });
    await world.startApp('a');
    await writeFile(world.at('lock'), '');
    await world.run();
    const client = await world.client();
    await client.holdNow(['a']);
    await pause(1500);
    await freeze(world, 3000, () => rm(world.at('lock')));
    const { apps } = await client.must('check', {});
    expect(apps).toMatchObject([{ stands: false }]);
    expect(apps[0]?.frozen_ms).toBeGreaterThan(2900);
    expect(apps[0]?.frozen_ms).toBeLessThan(4500);
    // Of the same hold a while later it cannot be told any more.
    await pause(5100);
    await expect(client.must('check', {})).resolves.toMatchObject({ apps: [{ stands: false, frozen_ms: null }] });
  });
});

describe('the lease', () => {
  const refused = async (world: QuiescedWorld) => {
    await world.run();
    const client = await world.client();
    await client.must('prepare', ALL);
    const answer = await client.ask('hold', { apps: ['a'], hold_expected_ms: null, flush: false });
    expect(answer).toMatchObject({ ok: false, code: 'lease', error: expect.stringContaining('nothing is held') });
    expect([world.isRunning('a'), world.appLog('a'), world.starts()]).toEqual([true, [], 1]);
    await expect(client.must('status', {})).resolves.toMatchObject({ lease: null, not_back: [] });
  };

  test('with no directory for it, nothing is held', async () => {
    const world = await worldOfFiles(['a']);
    await rm(world.at('state'), { recursive: true });
    await writeFile(world.at('state'), '');
    await refused(world);
  });

  test('with no directory for its marker, nothing is held', async () => {
    const world = await worldOfFiles(['a']);
    await mkdir(world.at('run/marker.json'));
    await refused(world);
    expect(world.hasLease()).toBe(false);
  });

  test.skipIf(!isRoot)('on a full disk nothing is held (skipped without root)', async () => {
    const world = await worldOfFiles(['a']);
    execFileSync('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=16k,mode=700', 'tmpfs', world.at('state')]);
    later(async () => execFileSync('/usr/bin/umount', ['-l', world.at('state')]));
    await writeFile(world.at('state/filler'), Buffer.alloc(64 * 1024)).catch(() => undefined);
    await refused(world);
  });

  const leaveHeld = async (names: string[], options: Parameters<typeof worldOfFiles>[1] = {}) => {
    const { world } = await held(names, { restart: false, ...options });
    const children = world.children();
    process.kill(world.main(), 'SIGSTOP');
    for (const { pid } of children) process.kill(pid, 'SIGKILL');
    process.kill(world.main(), 'SIGKILL');
    await until('all have gone', () => !world.isUp());
    expect(names.filter(world.isRunning)).toEqual([]);
    return world;
  };

  test('without its marker, as after a reboot: what it names is started, nothing else, and without quiesce.yaml', async () => {
    const world = await leaveHeld(['a', 'b']);
    await world.forgetRuntime();
    await world.writeConfig({ apps: [world.fileApp('c')] });
    await world.run();
    await Promise.all([back(world, 'a', 5000), back(world, 'b', 5000)]);
    await until('no lease', () => !world.hasLease());
    expect([world.isRunning('c'), world.appLog('c')]).toEqual([false, []]);
  });

  test('`recover` starts what it names, and ends', async () => {
    const world = await leaveHeld(['a']);
    await world.forgetRuntime();
    await expect(world.start('recover').ended).resolves.toBe(0);
    expect([world.isRunning('a'), world.hasLease()]).toEqual([true, false]);
  });

  test('`recover` goes on until it is back, and makes way for `serve`, which goes on with it', async () => {
    const world = await leaveHeld(['a'], { more: { a: { post: 'test -e $D/may-start || exit 1' } } });
    const recover = world.start('recover');
    await until('it has tried', () => world.log().includes('could not be let go (try 2)'));
    await world.run();
    await expect(recover.ended).resolves.toBe(0);
    expect([world.isRunning('a'), world.hasLease()]).toEqual([false, true]);
    await writeFile(world.at('may-start'), '');
    await back(world, 'a', 10_000);
    await until('no lease', () => !world.hasLease());
  });

  test('asked to stop before it has begun with what an earlier start left: it is let go first', async () => {
    const { world } = await held(['a'], { more: { a: { post: 'sleep 2' } } });
    const killed = world.main();
    process.kill(killed, 'SIGKILL');
    await until('the next one answers', async () => (await world.answers()) && world.main() !== killed);
    const pid = world.main();
    process.kill(pid, 'SIGTERM');
    await until('it has ended', () => !isAlive(pid));
    expect([world.isRunning('a'), world.hasLease()]).toEqual([true, false]);
  });

  test('that somebody else could have written is not obeyed', async () => {
    const world = await leaveHeld(['a']);
    await chmod(world.at('state/lease.json'), 0o666);
    await world.run();
    const client = await world.client();
    await client.must('prepare', ALL);
    expect([world.isRunning('a'), world.hasLease()]).toEqual([false, false]);
    expect(world.log()).toContain('lease.json: chmod 644');
  });
});

describe('quiesce.yaml', () => {
  const asked = async (world: QuiescedWorld) => {
    await world.run();
    const client = await world.client();
    const { config_error: error } = await client.must('status', {});
    await expect(client.ask('prepare', ALL)).resolves.toMatchObject({ ok: false, code: 'config', error });
    return { error, client };
  };

  test('that others may write is refused with the command that mends it, and read anew afterwards', async () => {
    const world = await worldOfFiles(['a']);
    await chmod(world.at('quiesce.yaml'), 0o664);
    const { error, client } = await asked(world);
    expect(error).toContain(`chmod 644 ${world.at('quiesce.yaml')}`);
    await chmod(world.at('quiesce.yaml'), 0o644);
    await expect(client.must('prepare', ALL)).resolves.toMatchObject({ apps: [{ ok: true }] });
  });

  test('in a directory that others may write is refused', async () => {
    const world = await worldOfFiles(['a']);
    await chmod(world.dir, 0o777);
    expect((await asked(world)).error).toContain(`chmod go-w ${world.dir}`);
  });

  test.skipIf(!isRoot)('of another owner is refused (skipped without root)', async () => {
    const world = await worldOfFiles(['a']);
    await chown(world.at('quiesce.yaml'), 12_345, 12_345);
    expect((await asked(world)).error).toContain(`chown root:root ${world.at('quiesce.yaml')}`);
  });

  test('that is wrong is refused with the key', async () => {
    const world = await worldOfFiles(['a']);
    await writeFile(world.at('quiesce.yaml'), 'apps: [{name: a, adapter: comand}]');
    expect((await asked(world)).error).toContain('apps[0].adapter');
  });

  test('that is not there means no applications', async () => {
    const world = await makeQuiescedWorld();
    await rm(world.at('quiesce.yaml'));
    await world.run();
    const client = await world.client();
    await expect(client.must('status', {})).resolves.toMatchObject({ config_error: '', apps: [] });
    await expect(client.must('prepare', ALL)).resolves.toEqual({ apps: [] });
  });

  test.skipIf(!isRoot)(
    'a program that would run as root and that others may write is refused (skipped without root)',
    async () => {
      const world = await makeQuiescedWorld();
      await writeFile(world.at('pre'), '#!/bin/sh\n', { mode: 0o755 });
      const app = { ...world.fileApp('a'), pre: { argv: [world.at('pre')] } };
      await world.writeConfig({ apps: [app, { ...app, name: 'b', user: 'nobody' }] });
      await chmod(world.at('pre'), 0o775);
      await world.run();
      const client = await world.client();
      await expect(client.must('prepare', ALL)).resolves.toMatchObject({
        apps: [
          {
            app: 'a',
            ok: false,
            error: `it would run as root, but others may write ${world.at('pre')}: chmod 755 ${world.at('pre')}`,
          },
          { app: 'b', ok: true },
        ],
      });
    },
  );

  test.skipIf(!isRoot)('an account that it names is taken, groups and all (skipped without root)', async () => {
    const world = await makeQuiescedWorld();
    const prepare = { argv: ['/bin/sh', '-c', `id -un; id -gn; id -Gn; echo $HOME; exit 1`] };
    await world.writeConfig({ apps: [world.fileApp('a', { user: 'games', prepare })] });
    await world.run();
    const client = await world.client();
    await expect(client.must('prepare', ALL)).resolves.toMatchObject({
      apps: [{ ok: false, error: 'prepare ended with status 1: games games games /usr/games' }],
    });
  });

  test('an account that is not there is said', async () => {
    const world = await makeQuiescedWorld();
    await world.writeConfig({ apps: [world.fileApp('a', { user: 'nobody-of-this-name' })] });
    await world.run();
    const client = await world.client();
    await expect(client.must('prepare', ALL)).resolves.toMatchObject({
      apps: [{ ok: false, error: 'there is no account "nobody-of-this-name" on this system' }],
    });
  });
});

describe('the program', () => {
  test('started twice: the second ends with a sentence, the first goes on', async () => {
    const { world } = await held(['a']);
    await expect(world.start('serve', ['--listen', world.at('other')]).ended).resolves.toBe(1);
    expect(world.log()).toContain(`runs already (process ${world.main()})`);
    expect([world.isRunning('a'), await world.answers()]).toEqual([false, true]);
  });

  // systemd takes an end by SIGHUP for a good one, too, and would not start it again.
  test.each(['SIGTERM', 'SIGHUP'] as const)('asked to stop by %s: it lets go, and ends with 0', async (name) => {
    const { world } = await held(['a']);
    const pid = world.main();
    process.kill(pid, name);
    await back(world, 'a', 2000);
    await until('it has ended', () => !isAlive(pid), 5000);
    expect([world.hasLease(), world.hasMarker(), world.starts(), world.children()]).toEqual([false, false, 1, []]);
  });

  test.skipIf(!existsSync(ACTIVATE))(
    'on a socket that systemd passes: it ends with 0 when nobody needs it, not while it holds (skipped without systemd)',
    async () => {
      const world = await worldOfFiles(['a'], { holdMax: '60s' });
      const socket = world.at('passed');
      const program = world.start('serve', [], [ACTIVATE, '-l', socket]);
      await until('somebody listens', () => existsSync(socket));
      const client = await connectQuiesced(socket);
      await expect(client.holdNow(['a'])).resolves.toMatchObject({ apps: [{ held: true }] });
      await pause(6500);
      expect([program.exitCode, world.isRunning('a')]).toEqual([null, false]);
      await client.close();
      const closed = performance.now();
      await expect(program.ended).resolves.toBe(0);
      expect(performance.now() - closed).toBeGreaterThan(4000);
      expect(performance.now() - closed).toBeLessThan(9000);
      expect([world.isRunning('a'), world.hasLease()]).toEqual([true, false]);
    },
  );

  test('only its owner and group may connect', async () => {
    const world = await worldOfFiles([]);
    await world.run();
    const mode = execFileSync('/usr/bin/stat', ['-c', '%a', world.at('socket')])
      .toString()
      .trim();
    expect(['600', '660']).toContain(mode);
  });

  test('status says it in lines; without anybody there, with a sentence', async () => {
    const { world } = await held(['a']);
    const status = world.start('status', ['--listen', world.at('socket')]);
    let out = '';
    status.stdout?.on('data', (chunk: Buffer) => {
      out += chunk;
    });
    await expect(status.ended).resolves.toBe(0);
    expect(out).toMatch(/^felhom-quiesced \S+\napplications: a\nheld for \d+ s more at most: a\n$/);
    await expect(world.start('status', ['--listen', world.at('nothing')]).ended).resolves.toBe(1);
    expect(world.log()).toContain('cannot be asked');
  });
});
