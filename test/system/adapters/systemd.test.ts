/** Units of a real systemd: what is stopped, what is refused, and that everything that ran is back, and nothing else. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Session } from '#controller/quiesced/adapters/adapter';
import { systemd } from '#controller/quiesced/adapters/systemd';
import { systemClock } from '#controller/quiesced/clock';
import { commandRunner } from '#controller/quiesced/command';
import { type AppOf, readQuiesce } from '#shared/quiesce/config';
import { bootHost, lacks, type NspawnHost } from '../../nspawn/host.ts';

const CTL = '/usr/bin/systemctl';
const UNITS = '/etc/systemd/system';
const run = commandRunner(systemClock);
const open = (units: string[], enter: (argv: readonly string[]) => [string, ...string[]], data: string[] = []) => {
  const settled = readQuiesce({ apps: [{ name: 'app', adapter: 'systemd', units, data }] });
  if (!settled.ok) throw new Error(JSON.stringify(settled));
  return systemd.open(settled.settings.apps[0] as AppOf<'systemd'>, {
    run: (argv, options) => run(enter(argv), options),
    monotonic: () => performance.now(),
    password: null,
  });
};

test('where systemd does not run the system, it says so', async () => {
  const session = await open(['notes.service'], () => [
    '/bin/sh',
    '-c',
    'echo "System has not been booted with systemd as init system (PID 1). Can\'t operate." >&2; exit 1',
  ]);
  await expect(session.prepare()).rejects.toThrow(/systemd does not run this system/);
});

const lacking = lacks();
describe.skipIf(lacking !== null)(
  `in a guest of systemd-nspawn (skipped without ${lacking ?? 'root, systemd-nspawn and an overlay'})`,
  { concurrent: true },
  () => {
    let host: NspawnHost;
    let number = 0;
    beforeAll(async () => {
      host = await bootHost();
    });
    afterAll(() => host.close());

    const ctl = (...args: string[]) => host.run(CTL, ...args);
    /** Writes units of their own names, so that tests do not meet; `N` in a text is the prefix. Returns it. */
    const write = async (texts: Record<string, string>): Promise<string> => {
      number += 1;
      const prefix = `t${number}`;
      for (const [name, text] of Object.entries(texts)) host.write(`${UNITS}/${prefix}${name}`, text.replaceAll('$N', prefix));
      await ctl('daemon-reload');
      return prefix;
    };
    const SLEEP = '[Service]\nExecStart=/bin/sleep 1000\n';
    const session = (...units: string[]): Promise<Session> => open(units, host.enter);
    const active = async (...units: string[]) => (await host.try(CTL, 'is-active', ...units)).stdout.trim().split('\n');
    /** A look ends within a second, answered or not; here systemd may be busy for longer with what other tests do. */
    const stands = (one: Session): Promise<boolean> =>
      one.stillHeld(9000).catch((error: Error) => (/did not end/.test(error.message) ? stands(one) : Promise.reject(error)));
    const held = async (one: Session) => {
      const ready = await one.prepare();
      const state = await one.look();
      await one.hold(state, 15_000);
      return { ready, state };
    };

    test('stops in the order of quiesce.yaml, starts in the opposite one, and only what ran', async () => {
      const tell = (name: string) =>
        `[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c "echo start ${name} >> /run/$N.log"\nExecStop=/bin/sh -c "echo stop ${name} >> /run/$N.log"\n`;
      const n = await write({ 'web.service': tell('web'), 'db.service': tell('db'), 'off.service': tell('off') });
      const [web, db, off] = [`${n}web.service`, `${n}db.service`, `${n}off.service`];
      await ctl('start', web, db);
      await host.run('/bin/rm', `/run/${n}.log`);
      const one = await session(web, off, db);
      const { ready, state } = await held(one);
      expect(ready).toEqual({ kind: 'systemd', running: true });
      expect(await active(web, db, off)).toEqual(['inactive', 'inactive', 'inactive']);
      expect(await stands(one)).toBe(true);
      await one.release(state);
      expect(await active(web, db, off)).toEqual(['active', 'active', 'inactive']);
      expect(await host.run('/bin/cat', `/run/${n}.log`)).toBe('stop web\nstop db\nstart db\nstart web\n');
    });

    test('nothing that runs is nothing to hold, and its rest is watched', async () => {
      const n = await write({ 'a.service': SLEEP });
      const one = await session(`${n}a.service`);
      expect(await one.prepare()).toEqual({ kind: 'systemd', running: false });
      expect(await one.look()).toBeNull();
      expect(await stands(one)).toBe(true);
      await ctl('start', `${n}a.service`);
      expect(await stands(one)).toBe(false);
      await one.release(null);
    });

    test('one that systemd forgets once it is down: started and stopped meanwhile, its rest is over', async () => {
      const n = await write({ 'a.service': SLEEP });
      const a = `${n}a.service`;
      await ctl('start', a);
      const one = await session(a);
      const { state } = await held(one);
      expect(await stands(one)).toBe(true);
      await ctl('start', a);
      await ctl('stop', a);
      expect(await stands(one)).toBe(false);
      await one.release(state);
    });

    test('what goes down with them comes back with them, and nothing that was down does', async () => {
      const part = (how: string) => `[Unit]\n${how}=$Ndb.service\nAfter=$Ndb.service\n${SLEEP}`;
      const n = await write({
        'db.service': `[Unit]\nWants=$Noff.service\n${SLEEP}`,
        'web.service': part('Requires'),
        'db@1.service': part('PartOf'),
        'far.service': '[Unit]\nBindsTo=$Nweb.service\nAfter=$Nweb.service\n[Service]\nExecStart=/bin/sleep 1000\n',
        'down.service': part('Requires'),
        'off.service': SLEEP,
      });
      const names = ['db.service', 'web.service', 'db@1.service', 'far.service', 'down.service', 'off.service'].map(
        (one) => n + one,
      );
      await ctl('start', ...names.slice(0, 4));
      await ctl('stop', `${n}off.service`);
      const one = await session(`${n}db.service`);
      const { state } = await held(one);
      expect(await active(...names)).toEqual(Array(6).fill('inactive'));
      // Also by a new process that knows nothing but the state, and twice.
      const heir = await session(`${n}db.service`);
      await heir.release(JSON.parse(JSON.stringify(state)));
      await heir.release(JSON.parse(JSON.stringify(state)));
      expect(await active(...names)).toEqual(['active', 'active', 'active', 'active', 'inactive', 'inactive']);
    });

    test.each([
      [
        'ends with 1 when it is stopped',
        '[Service]\nExecStart=/bin/sh -c "trap \'exit 1\' TERM; while :; do sleep 0.1; done"\n',
        /exit-code/,
      ],
      [
        'has to be killed',
        '[Service]\nTimeoutStopSec=1\nExecStart=/bin/sh -c "trap \'\' TERM; while :; do sleep 0.1; done"\n',
        /timeout/,
      ],
      [
        'leaves processes behind',
        '[Service]\nKillMode=process\nExecStart=/bin/sh -c "sleep 60 & exec sleep 1000"\n',
        /left processes/,
      ],
    ])('one that %s is not held, and comes back', async (_what, text, why) => {
      const n = await write({ 'a.service': text });
      await ctl('start', `${n}a.service`);
      await host.run('/bin/sleep', '0.3');
      const one = await session(`${n}a.service`);
      await one.prepare();
      const state = await one.look();
      await expect(one.hold(state, 15_000)).rejects.toThrow(why);
      expect(await stands(one)).toBe(false);
      await one.release(state);
      expect(await active(`${n}a.service`)).toEqual(['active']);
    });

    test.each([
      ['started', ['start']],
      ['started and stopped again', ['start', 'stop']],
    ])('%s during the hold: it no longer stands', async (_what, verbs) => {
      // Something that wants it keeps systemd from forgetting it.
      const n = await write({ 'a.service': SLEEP, 'all.target': '[Unit]\nWants=$Na.service\n' });
      await ctl('start', `${n}all.target`);
      const one = await session(`${n}a.service`);
      const { state } = await held(one);
      expect(await stands(one)).toBe(true);
      for (const verb of verbs) await ctl(verb, `${n}a.service`);
      expect(await stands(one)).toBe(false);
      await one.release(state);
      expect(await active(`${n}a.service`)).toEqual(['active']);
    });

    describe('a socket that would start it again', () => {
      const make = async () => {
        const n = await write({ 'a.socket': '[Socket]\nListenStream=/run/$N.sock\n', 'a.service': SLEEP });
        await ctl('start', `${n}a.socket`, `${n}a.service`);
        return n;
      };
      test('is a refusal where it is not listed', async () => {
        const n = await make();
        await expect((await session(`${n}a.service`)).prepare()).rejects.toThrow(`${n}a.socket would start ${n}a.service again`);
        expect(await active(`${n}a.service`)).toEqual(['active']);
      });
      test('is none where it is listed, or does not run', async () => {
        const n = await make();
        const one = await session(`${n}a.socket`, `${n}a.service`);
        const { state } = await held(one);
        expect(await active(`${n}a.socket`, `${n}a.service`)).toEqual(['inactive', 'inactive']);
        await one.release(state);
        expect(await active(`${n}a.socket`, `${n}a.service`)).toEqual(['active', 'active']);

        const again = await held(one);
        await ctl('start', `${n}a.service`);
        await one.release(again.state);
        expect(await active(`${n}a.socket`, `${n}a.service`)).toEqual(['active', 'active']);

        await ctl('stop', `${n}a.socket`);
        await ctl('start', `${n}a.service`);
        await expect((await session(`${n}a.service`)).prepare()).resolves.toBeTruthy();
      });
    });

    test.each<[string, (n: string) => Promise<string>, RegExp]>([
      ['is unknown', async (n) => `${n}none.service`, /has no unit/],
      [
        'has failed',
        async (n) => {
          host.write(`${UNITS}/${n}f.service`, '[Service]\nExecStart=/bin/false\n');
          await ctl('daemon-reload');
          await ctl('start', `${n}f.service`);
          await host.run('/bin/sleep', '0.3');
          return `${n}f.service`;
        },
        /has failed/,
      ],
      [
        'was made by systemd-run',
        async (n) => {
          await host.run('/usr/bin/systemd-run', '-q', `--unit=${n}r.service`, '/bin/sleep', '1000');
          return `${n}r.service`;
        },
        /made by systemd-run/,
      ],
      [
        'may not be stopped by hand',
        async (n) => {
          host.write(`${UNITS}/${n}m.service`, `[Unit]\nRefuseManualStop=yes\n${SLEEP}`);
          await ctl('daemon-reload');
          await ctl('start', `${n}m.service`);
          return `${n}m.service`;
        },
        /by hand/,
      ],
    ])('one that %s is refused', async (_what, make, why) => {
      const unit = await make(await write({}));
      await expect((await session(unit)).prepare()).rejects.toThrow(why);
    });

    test('a release in the middle of a stop: it ends, and starts again', async () => {
      const n = await write({
        'slow.service': '[Service]\nExecStart=/bin/sleep 1000\nExecStop=/bin/sleep 4\n',
        'next.service': SLEEP,
      });
      const units = [`${n}slow.service`, `${n}next.service`];
      await ctl('start', ...units);
      const one = await session(...units);
      await one.prepare();
      const state = await one.look();
      const hold = one.hold(state, 15_000).catch((error: Error) => error.message);
      await expect.poll(() => active(...units), { timeout: 5000 }).toEqual(['deactivating', 'active']);
      const since = await ctl('show', '--property=InvocationID', `${n}next.service`);
      await one.release(state);
      expect(await active(...units)).toEqual(['active', 'active']);
      expect(await ctl('show', '--property=InvocationID', `${n}next.service`)).toBe(since);
      expect(await hold).toMatch(/systemctl|let go/);
    });

    test('a start that fails is told, and can be tried again for as long as it takes', async () => {
      const n = await write({
        'a.service': '[Service]\nExecStartPre=/usr/bin/test ! -e /run/$N.broken\nExecStart=/bin/sleep 1000\n',
        'b.service': SLEEP,
      });
      await ctl('start', `${n}a.service`, `${n}b.service`);
      const one = await session(`${n}b.service`, `${n}a.service`);
      const { state } = await held(one);
      await host.run('/usr/bin/touch', `/run/${n}.broken`);
      // More often than StartLimitBurst allows in its interval.
      for (let round = 0; round < 4; round += 1) await expect(one.release(state)).rejects.toThrow(`${n}a.service`);
      expect(await active(`${n}b.service`)).toEqual(['active']);
      await host.run('/bin/rm', `/run/${n}.broken`);
      await one.release(state);
      expect(await active(`${n}a.service`)).toEqual(['active']);
    });

    test.each([
      ['', /does not stay up/],
      ['Restart=always\nRestartSec=100ms\n', /does not stay up|keeps ending/],
    ])('one that ends soon after its start is not back %#', async (restart, why) => {
      const n = await write({
        'a.service': `[Service]\n${restart}ExecStart=/bin/sh -c "if test -e /run/$N.broken; then sleep 0.3; exit 1; fi; exec sleep 1000"\n`,
      });
      await ctl('start', `${n}a.service`);
      const one = await session(`${n}a.service`);
      const { state } = await held(one);
      await host.run('/usr/bin/touch', `/run/${n}.broken`);
      await expect(one.release(state)).rejects.toThrow(why);
      await host.run('/bin/rm', `/run/${n}.broken`);
      // The last broken one still ends.
      await host.run('/bin/sleep', '1');
      await one.release(state);
      expect(await active(`${n}a.service`)).toEqual(['active']);
    });

    test('where its data lies is what quiesce.yaml says', async () => {
      expect(await (await session('notes.service')).whereDataLies()).toBeNull();
      expect(await (await open(['notes.service'], host.enter, ['/srv/notes'])).whereDataLies()).toEqual(['/srv/notes']);
    });
  },
);
