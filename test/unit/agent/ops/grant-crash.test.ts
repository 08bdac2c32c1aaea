import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { bundleSources } from '../../../chaos/bundle.ts';
import { backupDrive, type GrantHost, grantHost, type HostState, heard, STEPS, type Step } from './grant-world.ts';

const running: GrantHost[] = [];
const start = async (change?: Partial<HostState>): Promise<GrantHost> => {
  const host = await grantHost(change);
  running.push(host);
  return host;
};
afterEach(async () => {
  await Promise.all(running.splice(0).map((host) => host.close()));
});

/** From then on it is used up, whatever becomes of the process. */
const isUsedUp = (step: Step): boolean => STEPS.indexOf(step) >= STEPS.indexOf('after the database');

/** Begins to carry it, and stops for good at a step. */
const killedAt = async (host: GrantHost, last: Step, text: string): Promise<void> => {
  await new Promise<void>((resolve) => {
    host.state.reached = (step) => {
      if (step !== last) return;
      resolve();
      return new Promise(() => undefined);
    };
    host.carry(text).catch(() => undefined);
  });
  host.state.reached = () => undefined;
  await host.restart();
};

describe('an agent that ends at any step of a grant', () => {
  test.each(STEPS)('%s: spent or unused, and never run twice', async (step) => {
    const host = await start();
    const op = await host.open();
    const text = await host.signed(op);
    await killedAt(host, step, text);
    const before = host.state.erased.length;
    expect(before).toBe(step === 'after go' ? 1 : 0);
    expect([await host.used(), host.now.trust.why()]).toEqual([isUsedUp(step) ? 1 : 0, '']);
    const { database, file } = host.now.trust.counts();
    expect([database, file]).toEqual(isUsedUp(step) ? [1, 1] : [0, 0]);

    const reason = isUsedUp(step) ? /^grant-refused: This signature was used already/ : /^job fmt-/;
    expect(await heard(host.carry(text))).toMatch(reason);
    expect([host.state.erased.length, await host.used()]).toEqual([isUsedUp(step) ? before : 1, 1]);
    // And once more, by the other carrier.
    await heard(host.carry(text, 'guest 101'));
    expect(host.state.erased.length).toBeLessThanOrEqual(1);
  });

  let main: string | undefined;
  test.each(['before the database', 'after the database', 'before the file', 'after go'] satisfies Step[])(
    'kill -9 %s',
    async (step) => {
      main ??= await bundleSources('grant-main', { main: 'test/unit/agent/ops/grant-main.ts' });
      const host = await start();
      const text = await host.signed(await host.open());
      let signal: string | null = null;
      await host.restart(() => {
        const child = spawnSync(process.execPath, [main ?? '', host.dir, step, text, host.operator.x], { timeout: 20_000 });
        signal = child.signal;
      });
      expect(signal).toBe('SIGKILL');
      const erased = existsSync(join(host.dir, 'erased')) ? readFileSync(join(host.dir, 'erased'), 'utf8') : '';
      expect(erased).toBe(step === 'after go' ? 'sdb\n' : '');
      expect([await host.used(), host.now.trust.why()]).toEqual([isUsedUp(step) ? 1 : 0, '']);
      expect(await heard(host.carry(text))).toMatch(isUsedUp(step) ? /used already/ : /^job/);
      expect(host.state.erased).toHaveLength(isUsedUp(step) ? 0 : 1);
    },
  );
});

describe('a database that is not the one that it was', () => {
  const database = (host: GrantHost): string => join(host.dir, 'state', 'felhom.db');
  const file = (host: GrantHost): string => join(host.dir, 'etc', 'grants.json');
  const withoutDatabase = (host: GrantHost): void => {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${database(host)}${suffix}`, { force: true });
  };

  /** Signed and used; the copy was made when the operation waited for its signature. */
  const usedAfterCopy = async (): Promise<{ host: GrantHost; text: string }> => {
    const host = await start();
    const text = await host.signed(await host.open());
    await host.restart(() => copyFileSync(database(host), `${database(host)}.copy`));
    expect(await heard(host.carry(text))).toMatch(/^job/);
    // Backups are on it again, and it is exactly as it was: the worst case.
    host.state.drives = [backupDrive()];
    return { host, text };
  };

  test('restarted it is the same: what was used stays used', async () => {
    const { host, text } = await usedAfterCopy();
    await host.restart();
    expect(await heard(host.carry(text))).toMatch(/^grant-refused: This signature was used already/);
  });

  test('put back from a copy: no grants, no writes, until root accepts it; what waited is closed', async () => {
    const { host, text } = await usedAfterCopy();
    await host.restart(() => {
      withoutDatabase(host);
      copyFileSync(`${database(host)}.copy`, database(host));
    });
    expect(host.now.trust.why()).toMatch(
      /knows of 0 used signatures, the file .* of 1: the database was put back from a copy.*state accept/,
    );
    expect(await heard(host.carry(text))).toMatch(/^grants-off/);
    await expect(host.open()).rejects.toMatchObject({ code: 'grants-off' });
    const trust = await host.now.admin.acceptState();
    expect(trust).toMatchObject({ grants_off: '', database_count: 1, file_count: 1 });
    expect(await heard(host.carry(text))).toMatch(/^grant-refused: The operation .* was closed: The operator accepted the state/);
    expect(host.state.erased).toHaveLength(1);
    expect(await host.audit()).toContain('state-accepted');
    // And goes on from there, also after a restart.
    await host.restart();
    expect(await heard(host.carry(await host.signed(await host.open())))).toMatch(/^job/);
  });

  test('deleted: no grants until root accepts it; what was signed before is for nothing', async () => {
    const { host, text } = await usedAfterCopy();
    await host.restart(() => withoutDatabase(host));
    expect(host.now.trust.why()).toMatch(/^The database is new, but .* the database was lost/);
    expect(await heard(host.carry(text))).toMatch(/^grants-off/);
    await host.now.admin.acceptState();
    expect(await heard(host.carry(text))).toMatch(/^grant-refused: No operation of this host waits for it/);
    expect(host.state.erased).toHaveLength(1);
  });

  test.each([
    ['missing', /is missing/, (path: string) => rmSync(path)],
    [
      'of another setup',
      /not of the same setup/,
      (path: string) => writeFileSync(path, `{"setup_id":"${'a'.repeat(26)}","counter":1}\n`),
    ],
    ['garbage', /cannot be used/, (path: string) => writeFileSync(path, 'garbage')],
    ['of another shape', /cannot be used/, (path: string) => writeFileSync(path, '{"setup_id":1,"counter":-1}')],
  ])('the second file is %s: no grants, from that moment, until root accepts it', async (_what, why, spoil) => {
    const host = await start();
    const text = await host.signed(await host.open());
    spoil(file(host));
    expect(await heard(host.carry(text))).toMatch(/^grants-off/);
    await host.restart();
    expect(host.now.trust.why()).toMatch(why);
    await host.now.admin.acceptState();
    expect(host.now.trust.why()).toBe('');
    expect(await heard(host.carry(await host.signed(await host.open())))).toMatch(/^job/);
    expect(host.state.erased).toHaveLength(1);
  });

  test('put back as it was, the second file is good again at once', async () => {
    const host = await start();
    const text = await host.signed(await host.open());
    const was = readFileSync(file(host), 'utf8');
    rmSync(file(host));
    expect(await heard(host.carry(text))).toMatch(/^grants-off/);
    writeFileSync(file(host), was);
    expect(await heard(host.carry(text))).toMatch(/^job/);
  });

  test('damaged: no grants, and root cannot accept it either', async () => {
    const host = await start();
    for (const fstype of ['ext4', 'xfs', 'ext4', 'xfs'] as const) await host.open(101, fstype);
    const text = await host.signed(await host.open());
    await host.restart(() => {
      const bytes = readFileSync(database(host));
      // An index of the operations, in the middle of its page.
      const at = bytes.indexOf('closed');
      bytes.fill(0xff, at - 4, at + 2);
      writeFileSync(database(host), bytes);
    });
    expect(host.now.trust.why()).toMatch(/^The database is damaged/);
    expect(await heard(host.carry(text))).toMatch(/^grants-off/);
    await expect(host.now.admin.acceptState()).rejects.toMatchObject({ code: 'state-failed' });
    expect(host.state.erased).toEqual([]);
  });
});
