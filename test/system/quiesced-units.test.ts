/** The shipped units of felhom-quiesced under a real systemd: started by its socket, gone when idle, and every stopped unit comes back. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { connectQuiesced, type QuiescedClient } from '../chaos/quiesced-client.ts';
import { bootHost, lacks, type NspawnHost } from '../nspawn/host.ts';

const PROJECT = join(import.meta.dirname, '../..');
const CTL = '/usr/bin/systemctl';
const NODE = '/usr/bin/node';
const MAIN = '/usr/lib/felhom/dist/controller/quiesced/main.js';
const SERVICE = 'felhom-quiesced.service';
const LEASE = '/var/lib/felhom-quiesced/lease.json';

/** Counts its starts on the disk, so that also one at the end of a boot is seen. */
const NOTES = `[Unit]
Description=the application
[Service]
ExecStartPre=/bin/sh -c "echo start >> /var/lib/notes.log"
ExecStart=/bin/sleep infinity
`;
const QUIESCE = `hold_max: 60s
apps:
  - {name: notes, adapter: systemd, units: [notes.service], data: [/var/lib]}
  - name: file
    adapter: command
    provides: app
    pre: {argv: [/bin/rm, /run/file.running]}
    post: {argv: [/usr/bin/touch, /run/file.running]}
`;
/** Connects as the controller does, holds, and stays until it is ended. */
const CONTROLLER = `import { connect } from 'node:net';
const socket = connect('/run/felhom-quiesced/socket');
const say = (request) => socket.write(JSON.stringify(request) + '\\n');
say({ id: 1, verb: 'prepare', apps: [], within_ms: 60000 });
socket.on('data', (text) => {
  if (String(text).includes('"id":1')) say({ id: 2, verb: 'hold', apps: ['notes'], hold_expected_ms: 60000, flush: false });
});
socket.on('close', () => process.exit(1));
`;

/** What is shipped, as package.json makes it of the sources, where the units look for it. */
const install = (host: NspawnHost): void => {
  const lib = join(host.root, 'usr/lib/felhom');
  mkdirSync(lib, { recursive: true });
  const packageJson = readFileSync(join(PROJECT, 'package.json'), 'utf8');
  const script = (JSON.parse(packageJson) as { scripts: Record<string, string> }).scripts['bundle:quiesced'] ?? '';
  const bundle = script.replace('--outdir=dist/', `--outdir=${lib}/dist/`);
  const env = { ...process.env, PATH: `${join(PROJECT, 'node_modules/.bin')}:${process.env.PATH}` };
  execFileSync('/bin/sh', ['-c', bundle], { cwd: PROJECT, env, stdio: 'pipe' });
  copyFileSync(join(PROJECT, 'package.json'), join(lib, 'package.json'));
  symlinkSync(join(PROJECT, 'node_modules'), join(lib, 'node_modules'));
  const units = join(PROJECT, 'systemd');
  for (const name of readdirSync(units).filter((one) => one.startsWith('felhom-quiesced')))
    host.write(`/usr/lib/systemd/system/${name}`, readFileSync(join(units, name), 'utf8'));
  host.write('/usr/lib/sysusers.d/felhom.conf', readFileSync(join(units, 'felhom.sysusers.conf'), 'utf8'));
  host.write('/etc/felhom/quiesce.yaml', QUIESCE);
  host.write('/etc/systemd/system/notes.service', NOTES);
  host.write('/etc/felhom-test/controller.mjs', CONTROLLER);
};

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const until = async (what: string, holds: () => Promise<boolean>, ms = 20_000): Promise<void> => {
  const end = performance.now() + ms;
  while (!(await holds())) {
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await wait(50);
  }
};

const lacking = lacks();
describe.skipIf(lacking !== null)(
  `felhom-quiesced under systemd (skipped without ${lacking ?? 'root, systemd-nspawn and an overlay'})`,
  { timeout: 90_000 },
  () => {
    let host: NspawnHost;
    const ctl = (...args: string[]) => host.run(CTL, ...args);
    const property = async (unit: string, name: string) => (await ctl('show', `--property=${name}`, '--value', unit)).trim();
    const state = (unit: string) => property(unit, 'ActiveState');
    const connected = (): Promise<QuiescedClient> => connectQuiesced(`/proc/${host.pid()}/root/run/felhom-quiesced/socket`);
    const starts = () => readFileSync(join(host.root, 'var/lib/notes.log'), 'utf8').split('\n').length - 1;
    const leaseLeft = () => existsSync(join(host.root, LEASE));
    /** Holds for long enough that nothing ends by itself. */
    const holding = async (): Promise<QuiescedClient> => {
      const client = await connected();
      // It may still be looking whether what an earlier test held stays up.
      await until('it is free', async () => (await client.ask('prepare', { apps: [], within_ms: 60_000 })).ok);
      const { apps } = await client.must('hold', { apps: ['notes', 'file'], hold_expected_ms: 60_000, flush: false });
      expect(apps).toMatchObject([{ held: true }, { held: true }]);
      expect(await state('notes.service')).toBe('inactive');
      return client;
    };
    const back = () =>
      until('both are back', async () => {
        const file = await host.try('/usr/bin/test', '-e', '/run/file.running');
        return (await state('notes.service')) === 'active' && file.code === 0;
      });

    beforeAll(async () => {
      host = await bootHost();
      install(host);
      await host.run('/usr/bin/systemd-sysusers');
      await ctl('daemon-reload');
      await ctl('enable', 'felhom-quiesced.socket', 'felhom-quiesced-boot.service');
      // This target stands for the usual ones, which would start this machine's own units too.
      const wants = join(host.root, 'etc/systemd/system/felhom-test.target.wants');
      mkdirSync(wants);
      for (const [target, unit] of [
        ['sockets.target', 'felhom-quiesced.socket'],
        ['multi-user.target', 'felhom-quiesced-boot.service'],
      ] as const) {
        expect(readdirSync(join(host.root, `etc/systemd/system/${target}.wants`))).toContain(unit);
        symlinkSync(`/usr/lib/systemd/system/${unit}`, join(wants, unit));
      }
      await ctl('start', 'felhom-quiesced.socket');
    });
    afterAll(() => host.close());
    beforeEach(async () => {
      await ctl('start', 'notes.service');
      await host.run('/usr/bin/touch', '/run/file.running');
    });

    test('is started by its socket, which root and the group of the controller may use, and nobody else', async () => {
      expect(await state(SERVICE)).toBe('inactive');
      expect(await host.run('/usr/bin/stat', '-c', '%a %U %G', '/run/felhom-quiesced/socket')).toBe('660 root felhom\n');
      const as = (user: string) =>
        host.try(
          '/usr/bin/setpriv',
          `--reuid=${user}`,
          `--regid=${user === 'felhom' ? user : 'nogroup'}`,
          '--clear-groups',
          NODE,
          MAIN,
          'status',
        );
      const stranger = await as('nobody');
      expect(stranger.code).not.toBe(0);
      expect(stranger.stderr).toMatch(/EACCES|may not/i);
      expect(await state(SERVICE)).toBe('inactive');
      const controller = await as('felhom');
      expect(controller).toMatchObject({ code: 0, stderr: '' });
      expect(controller.stdout).toContain('notes');
      expect(await state(SERVICE)).toBe('active');
    });

    test('ends when nobody needs it, and the next connection starts it again', async () => {
      const first = await connected();
      expect(await first.must('status', {})).toMatchObject({ config_error: '', lease: null });
      const pid = await property(SERVICE, 'MainPID');
      await wait(6000);
      expect(await property(SERVICE, 'MainPID')).toBe(pid);
      await first.close();
      await until('it ends', async () => (await state(SERVICE)) === 'inactive');
      expect(await property(SERVICE, 'Result')).toBe('success');
      const second = await connected();
      expect(await second.must('status', {})).toMatchObject({ lease: null });
      await second.close();
    });

    test('holds, and lets go when the connection ends', async () => {
      const client = await holding();
      expect((await client.must('check', {})).apps).toMatchObject([{ stands: true }, { stands: true }]);
      expect(leaseLeft()).toBe(true);
      await client.close();
      await back();
      await until('the lease is gone', async () => !leaseLeft());
    });

    test('killed with all its children while it holds, it is started again and lets go', async () => {
      const client = await holding();
      const pid = await property(SERVICE, 'MainPID');
      await ctl('kill', '--signal=KILL', '--kill-whom=all', SERVICE);
      await client.ended;
      await back();
      await until('the lease is gone', async () => !leaseLeft());
      expect(await property(SERVICE, 'MainPID')).not.toBe(pid);
      await until('it ends', async () => (await state(SERVICE)) === 'inactive');
    });

    test('stopped and started by hand while it holds, it lets go first', async () => {
      const client = await holding();
      await ctl('stop', SERVICE);
      await client.ended;
      expect(await state('notes.service')).toBe('active');
      expect(leaseLeft()).toBe(false);
    });

    test('lives in a group of its own: the end of everything of the controller does not touch it', async () => {
      const run = ['--unit=controller', '--uid=felhom', '--gid=felhom', NODE, '/etc/felhom-test/controller.mjs'];
      await host.run('/usr/bin/systemd-run', '-q', ...run);
      await until('it holds', async () => (await state('notes.service')) === 'inactive');
      const pid = await property(SERVICE, 'MainPID');
      const pids = (await host.run('/usr/bin/pgrep', '-f', 'controller/quiesced/')).trim().split('\n');
      expect(pids.length).toBeGreaterThanOrEqual(2);
      for (const one of pids)
        expect(await host.run('/bin/cat', `/proc/${one}/cgroup`)).toMatch(/\/system\.slice\/felhom-quiesced\.service$/m);
      await ctl('kill', '--signal=KILL', '--kill-whom=all', 'controller.service');
      await back();
      expect(await property(SERVICE, 'MainPID')).toBe(pid);
    });

    test('after a power cut, the next boot starts what was held, and nobody has to ask for it', async () => {
      const client = await holding();
      const before = starts();
      await host.cutPower();
      await client.ended;
      expect(leaseLeft()).toBe(true);
      await host.boot();
      await back();
      expect(starts()).toBe(before + 1);
      await until('the lease is gone', async () => !leaseLeft());
      await until('it ends', async () => (await state('felhom-quiesced-boot.service')) === 'inactive');
      expect(await state(SERVICE)).toBe('inactive');
    });

    test('a shutdown while it holds starts nothing; the next boot does', async () => {
      const client = await holding();
      const before = starts();
      const begun = performance.now();
      await host.powerOff();
      expect(performance.now() - begun).toBeLessThan(20_000);
      await client.ended;
      expect(starts()).toBe(before);
      expect(leaseLeft()).toBe(true);
      await host.boot();
      await back();
      expect(starts()).toBe(before + 1);
      await until('the lease is gone', async () => !leaseLeft());
    });

    test('a boot without a lease starts nothing', async () => {
      await until('the lease is gone', async () => !leaseLeft());
      const before = starts();
      await host.powerOff();
      await host.boot();
      expect(await state('felhom-quiesced-boot.service')).toBe('inactive');
      expect(starts()).toBe(before);
      expect(await state('notes.service')).toBe('inactive');
    });
  },
);
