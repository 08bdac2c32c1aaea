/** Any application that commands can hold and let go: `pre` and `post`, with `prepare` before and `check` in between. */

import type { AppOf } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import type { CommandResult } from '../command.ts';
import { checkTrusted } from '../trust.ts';
import type { Adapter, Session, Tools } from './adapter.ts';

type App = AppOf<'command'>;
type Step = App['pre'];

/** A look at the hold takes no longer, whatever quiesce.yaml allows. */
const CHECK_MS = 1000;

const failure = (step: string, { timedOut, code, tail }: CommandResult): Error => {
  const how = timedOut ? 'took too long' : code === null ? 'was ended or could not be started' : `ended with status ${code}`;
  return new Error(`${step} ${how}${tail === '' ? '' : `: ${tail}`}`);
};

/** What root runs must be root's own, or another account would be root. */
const checkPrograms = async (steps: readonly (Step | null)[]): Promise<void> => {
  if (process.geteuid?.() !== 0) return;
  for (const step of steps) {
    const program = step?.argv[0];
    if (program === undefined) continue;
    await checkTrusted(program).catch((error: unknown) => {
      throw new Error(`it would run as root, but ${errorText(error)}`);
    });
  }
};

const open = async (app: App, { run }: Tools): Promise<Session> => {
  const ends = new AbortController();
  let pre: Promise<void> | null = null;

  /** Its own program only: a post must not fail for what has become of a check. */
  const must = async (name: string, step: Step): Promise<void> => {
    await checkPrograms([step]);
    const result = await run(step.argv, { timeoutMs: step.timeout });
    if (!result.ok) throw failure(name, result);
  };
  const runPre = async (leftMs: number): Promise<void> => {
    await checkPrograms([app.pre]);
    if (ends.signal.aborted) throw new Error('pre was given up before it began');
    const result = await run(app.pre.argv, { timeoutMs: Math.min(app.pre.timeout, leftMs), signal: ends.signal });
    if (!result.ok) throw failure('pre', result);
  };
  return {
    prepare: async () => {
      await checkPrograms([app.prepare, app.pre, app.check, app.post]);
      if (app.prepare !== null) await must('prepare', app.prepare);
      return { kind: `command-${app.provides}`, running: true };
    },
    // Whether it runs only its commands know: they have to leave alone what did not run before.
    look: async () => ({}),
    hold: async (_state, leftMs) => {
      pre = runPre(leftMs);
      await pre;
    },
    stillHeld: async () => {
      if (app.check === null || pre === null) return true;
      await checkPrograms([app.check]);
      const { argv, timeout } = app.check;
      const { ok, timedOut } = await run(argv, { timeoutMs: Math.min(timeout, CHECK_MS) });
      // It says neither yes nor no.
      if (timedOut) throw new Error('check took too long');
      return ok;
    },
    release: async () => {
      // A pre that still runs is ended first, with its whole group: post undoes also half of it.
      ends.abort();
      await pre?.catch(() => undefined);
      await must('post', app.post);
    },
    whereDataLies: async () => (app.data.length === 0 ? null : app.data),
    close: async () => ends.abort(),
  };
};

export const command: Adapter<'command'> = { account: async () => null, open };
