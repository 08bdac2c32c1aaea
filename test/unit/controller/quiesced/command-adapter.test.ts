import { describe, expect, test, vi } from 'vitest';
import { command } from '#controller/quiesced/adapters/command';
import type { CommandResult, RunCommand } from '#controller/quiesced/command';
import { readQuiesce } from '#shared/quiesce/config';

const WELL: CommandResult = { ok: true, code: 0, timedOut: false, ms: 1, tail: '', stdout: '' };
const BADLY: CommandResult = { ...WELL, ok: false, code: 2, tail: 'no lock' };

/** @param results by the last word of the command */
const setup = async (more: Record<string, unknown> = {}, results: Record<string, CommandResult | 'until aborted'> = {}) => {
  const step = (word: string) => ({ argv: ['/bin/echo', word] });
  const settled = readQuiesce({
    apps: [{ name: 'a', adapter: 'command', pre: step('pre'), post: step('post'), provides: 'filesystem', ...more }],
  });
  const app = settled.ok ? settled.settings.apps[0] : undefined;
  if (app?.adapter !== 'command') throw new Error('not a command');
  const did: string[] = [];
  const run: RunCommand = async (argv, { timeoutMs, signal }) => {
    const word = argv.at(-1) as string;
    did.push(`${word} ${timeoutMs}`);
    const result = results[word] ?? WELL;
    if (result !== 'until aborted') return result;
    await new Promise((resolve) => signal?.addEventListener('abort', resolve));
    did.push(`${word} ended`);
    return { ...BADLY, code: null };
  };
  return { did, session: await command.open(app, { run, monotonic: () => 0, password: null }) };
};
const step = (word: string, timeout?: string) => ({ argv: ['/bin/echo', word], ...(timeout ? { timeout } : {}) });

describe('a command', () => {
  test('prepare, pre, check and post, each within its time', async () => {
    const { did, session } = await setup({ prepare: step('prepare', '2m'), check: step('check'), pre: step('pre', '50s') });
    await expect(session.prepare()).resolves.toEqual({ kind: 'command-filesystem', running: true });
    await session.hold({}, 20_000);
    await expect(session.stillHeld(10_000)).resolves.toBe(true);
    await session.release({});
    expect(did).toEqual(['prepare 120000', 'pre 20000', 'check 1000', 'post 30000']);
  });

  test.each([
    ['prepare', 'prepare ended with status 2: no lock'],
    ['pre', 'pre ended with status 2: no lock'],
    ['post', 'post ended with status 2: no lock'],
  ])('%s that fails is said', async (word, sentence) => {
    const { session } = await setup({ prepare: step('prepare') }, { [word]: BADLY });
    const all = async () => {
      await session.prepare();
      await session.hold({}, 1000);
      await session.release({});
    };
    await expect(all()).rejects.toThrow(sentence);
  });

  test('a check that fails says that the hold no longer stands', async () => {
    const { session } = await setup({ check: step('check') }, { check: BADLY });
    await session.hold({}, 1000);
    await expect(session.stillHeld(1000)).resolves.toBe(false);
  });

  test('made ready only, there is nothing to check', async () => {
    const { session, did } = await setup({ check: step('check') }, { check: BADLY });
    await expect(session.stillHeld(0)).resolves.toBe(true);
    expect(did).toEqual([]);
  });

  test('post begins only when a pre that still runs has ended', async () => {
    const { session, did } = await setup({}, { pre: 'until aborted' });
    const holding = session.hold({}, 1000).catch((error: Error) => error.message);
    await vi.waitFor(() => expect(did).toEqual(['pre 1000']));
    await session.release({});
    expect(did).toEqual(['pre 1000', 'pre ended', 'post 30000']);
    await expect(holding).resolves.toContain('pre was ended');
  });

  test('a pre that has not begun when it is let go never does', async () => {
    const { session, did } = await setup();
    const holding = session.hold({}, 1000).catch((error: Error) => error.message);
    await session.release({});
    await expect(holding).resolves.toBe('pre was given up before it began');
    expect(did).toEqual(['post 30000']);
  });

  test('post runs also for a process that knows nothing of the hold, and twice', async () => {
    const { session, did } = await setup();
    await session.release({});
    await session.release({});
    expect(did).toEqual(['post 30000', 'post 30000']);
  });

  test('post runs whatever has become of the other programs meanwhile', async () => {
    const gone = { argv: ['/nowhere/at/all'] };
    const { session, did } = await setup({ pre: gone, prepare: gone, check: gone });
    await session.release({});
    expect(did).toEqual(['post 30000']);
  });

  test.each([
    [[], null],
    [['/srv/a'], ['/srv/a']],
  ])('data %j lies at %j', async (data, paths) => {
    const { session } = await setup({ data });
    await expect(session.whereDataLies()).resolves.toEqual(paths);
  });
});
