import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LeasedApp, openLeases } from '#controller/quiesced/lease';
import { readQuiesce } from '#shared/quiesce/config';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-lease-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const lines: string[] = [];
const open = () => openLeases({ stateDir: join(dir, 'state'), runtimeDir: dir, say: (_priority, text) => void lines.push(text) });
const leased = (name: string): LeasedApp => {
  const settled = readQuiesce({ apps: [{ name, adapter: 'systemd', units: ['a.service'] }] });
  if (!settled.ok || settled.settings.apps[0] === undefined) throw new Error('no application');
  return { app: settled.settings.apps[0], state: { units: ['a.service'] } };
};
const file = () => join(dir, 'state/lease.json');
const there = (path: string) =>
  stat(path).then(
    () => true,
    () => false,
  );

test('what was added is found by the next start, with all that a release needs, and as live', async () => {
  const leases = open();
  await leases.mark({ children: [{ pid: 7, started: '8' }], groups: [] });
  await leases.add([leased('a'), leased('b')]);
  expect((await stat(file())).mode & 0o777).toBe(0o600);
  await expect(open().read()).resolves.toEqual({
    apps: [leased('a'), leased('b')],
    live: true,
    leftovers: { children: [{ pid: 7, started: '8' }], groups: [] },
  });
});

test('without its marker it is not live', async () => {
  await open().add([leased('a')]);
  await rm(join(dir, 'marker.json'));
  await expect(open().read()).resolves.toMatchObject({ apps: [leased('a')], live: false, leftovers: { children: [] } });
});

test('what is back is dropped; the last one takes lease and marker with it', async () => {
  const leases = open();
  await leases.add([leased('a'), leased('b')]);
  leases.drop('a');
  await leases.settled();
  expect(JSON.parse(await readFile(file(), 'utf8'))).toMatchObject({ apps: [{ app: { name: 'b' } }] });
  leases.drop('b');
  await leases.settled();
  expect([await readdir(join(dir, 'state')), await there(join(dir, 'marker.json'))]).toEqual([[], false]);
});

test('while it is quiet nothing is dropped from the disk', async () => {
  const leases = open();
  await leases.add([leased('a'), leased('b')]);
  leases.begin();
  leases.drop('a');
  await leases.settled();
  expect((await open().read()).apps.length).toBe(2);
  leases.end();
  await leases.settled();
  expect((await open().read()).apps.map(({ app }) => app.name)).toEqual(['b']);
});

test('what was found is dropped the same way', async () => {
  await open().add([leased('a')]);
  const next = open();
  await next.read();
  next.drop('a');
  await next.settled();
  expect(await there(file())).toBe(false);
});

test('where it cannot be written, it fails, and what was held before stays', async () => {
  const leases = open();
  await leases.add([leased('a')]);
  await mkdir(`${file()}.new`);
  await expect(leases.add([leased('b')])).rejects.toThrow('EISDIR');
  await rm(`${file()}.new`, { recursive: true });
  await leases.settled();
  expect(JSON.parse(await readFile(file(), 'utf8'))).toMatchObject({ apps: [{ app: { name: 'a' } }] });
  await leases.add([leased('c')]);
  expect((await open().read()).apps.map(({ app }) => app.name)).toEqual(['a', 'c']);
});

test.each(['state', '.'])('where others may write in %s it is refused: the next start would not obey it', async (name) => {
  await mkdir(join(dir, 'state'), { mode: 0o700 });
  await chmod(join(dir, name), 0o777);
  const leases = open();
  await expect(leases.add([leased('a')])).rejects.toThrow(/others may write in the directory .*: chmod go-w/);
  await leases.settled();
  expect(await there(file())).toBe(false);
});

test('nothing there: nothing was held', async () => {
  await expect(open().read()).resolves.toEqual({ apps: [], live: false, leftovers: { children: [], groups: [] } });
});

test('a lease that cannot be read just now is read a little later, and obeyed', async () => {
  await open().add([leased('a')]);
  let tries = 0;
  const busy = async (path: string) => {
    tries += 1;
    if (tries === 1) throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
    return readFile(path, 'utf8');
  };
  const leases = openLeases({ stateDir: join(dir, 'state'), runtimeDir: dir, say: () => undefined, readFile: busy });
  await expect(leases.read()).resolves.toMatchObject({ apps: [leased('a')], live: true });
  expect([tries, await there(file())]).toEqual([2, true]);
});
