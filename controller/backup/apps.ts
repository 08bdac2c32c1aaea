/** Holds a guest's applications and lets them go: nothing is held before that is noted on disk, and letting go never gives up. */
import { type Clock, sleep } from '#shared/clock';
import type { QuiesceApp } from '#shared/quiesce';
import { sentenceOf } from '../ports/agent-error.ts';
import type { CommandResult, RunCommand } from '../ports/command.ts';
import type { Marker } from '../ports/marker.ts';
import type { Happening } from './events.ts';
import type { AppOutcome, StepOutcome } from './result.ts';

export interface AppsPorts {
  run: RunCommand;
  marker: Marker;
  clock: Clock;
  emit: (event: Happening) => void;
  /** True from the request of a backup to the release: then no file is written. */
  isQuiet: () => boolean;
  /** Ends the tries to let go, at the controller's own end. */
  stop: AbortSignal;
}

export interface Apps {
  /** Lets go what an earlier run may have left held; returns after the first try of each. */
  recover(): Promise<void>;
  /** Runs every pre, in order. Whatever fails, the backup may go on. */
  hold(deadline: number, signal: AbortSignal): Promise<void>;
  /** The names that `release` would let go. */
  held(): string[];
  /** Starts every post at once, before it returns its promise; resolves after the first try of each. */
  release(): Promise<AppOutcome[]>;
}

/** Between the tries of a post; the last one again and again. */
const RETRY_MS = [1000, 2000, 4000, 8000, 60_000];

/** What the note on disk says is not known: no list of names. */
const UNSURE = '?';

const outcomeOf = ({ ok, timedOut }: CommandResult): StepOutcome => (ok ? 'ok' : timedOut ? 'timed-out' : 'failed');

export const createApps = (apps: readonly QuiesceApp[], { run, marker, clock, emit, isQuiet, stop }: AppsPorts): Apps => {
  /** Held now, with how each pre went. */
  const held = new Map<QuiesceApp, StepOutcome>();
  /** Not back yet: a post has failed, or quiesce.yaml no longer says how. */
  const notBack = new Set<string>();
  /** The names that the note on disk has. */
  let noted = '';

  const note = async (names: string[]): Promise<void> => {
    const wanted = names.join('\n');
    if (wanted === noted) return;
    noted = UNSURE;
    await (names.length === 0 ? marker.remove() : marker.write(names));
    noted = wanted;
  };
  /** Makes the note say who is not back; nothing is written while a backup must not see writes. */
  const noteWhoIsLeft = async (): Promise<void> => {
    if (isQuiet()) return;
    await note([...new Set([...notBack, ...[...held.keys()].map(({ name }) => name)])]).catch((error: unknown) =>
      emit({ kind: 'marker-stays', error: sentenceOf(error) }),
    );
  };

  const post = async (app: QuiesceApp, tries: number): Promise<CommandResult> => {
    const result = await run(app.post.argv, { timeoutMs: app.post.timeout });
    if (result.ok) {
      notBack.delete(app.name);
      emit({ kind: 'app-back', app: app.name, ms: result.ms });
    } else emit({ kind: 'app-failed', app: app.name, step: 'post', result, tries });
    return result;
  };
  const keepTrying = async (app: QuiesceApp): Promise<void> => {
    for (let tries = 2; !stop.aborted && notBack.has(app.name); tries++) {
      await sleep(clock, RETRY_MS[Math.min(tries - 2, RETRY_MS.length - 1)] as number, stop);
      if (!stop.aborted && (await post(app, tries)).ok) await noteWhoIsLeft();
    }
  };
  /** The first try of each, all at once. */
  const letGo = (these: QuiesceApp[]): Promise<CommandResult[]> => {
    for (const { name } of these) notBack.add(name);
    return Promise.all(
      these.map(async (app) => {
        const result = await post(app, 1);
        if (!result.ok) void keepTrying(app);
        return result;
      }),
    );
  };

  const recover = async (): Promise<void> => {
    const found = await marker.read();
    if (found.kind === 'none') return;
    const names = found.kind === 'apps' ? found.apps : apps.map(({ name }) => name);
    noted = found.kind === 'apps' ? names.join('\n') : UNSURE;
    emit({ kind: 'recovering', apps: names, unreadable: found.kind === 'unreadable' });
    for (const name of names.filter((one) => !apps.some((app) => app.name === one))) {
      notBack.add(name);
      emit({ kind: 'app-unknown', app: name });
    }
    await letGo(apps.filter(({ name }) => names.includes(name)));
    await noteWhoIsLeft();
  };

  const pause = async (app: QuiesceApp, deadline: number, signal: AbortSignal): Promise<void> => {
    const left = deadline - clock.monotonic();
    if (signal.aborted || left <= 0) return emit({ kind: 'app-skipped', app: app.name, why: 'no-time' });
    held.set(app, 'failed');
    const result = await run(app.pre.argv, { timeoutMs: Math.min(app.pre.timeout, left), signal });
    held.set(app, outcomeOf(result));
    emit(
      result.ok
        ? { kind: 'app-paused', app: app.name, ms: result.ms }
        : { kind: 'app-failed', app: app.name, step: 'pre', result, tries: 1 },
    );
  };

  const hold = async (deadline: number, signal: AbortSignal): Promise<void> => {
    const ready = apps.filter(({ name }) => !notBack.has(name));
    for (const { name } of apps) if (notBack.has(name)) emit({ kind: 'app-skipped', app: name, why: 'not-back' });
    if (ready.length === 0) return;
    try {
      await note([...notBack, ...ready.map(({ name }) => name)]);
    } catch (error) {
      emit({ kind: 'marker-failed', error: sentenceOf(error) });
      return note([...notBack]).catch(() => undefined);
    }
    for (const app of ready) await pause(app, deadline, signal);
  };

  const release = async (): Promise<AppOutcome[]> => {
    const these = [...held];
    held.clear();
    const results = await letGo(these.map(([app]) => app));
    await noteWhoIsLeft();
    const outcomes = new Map(
      these.map(([{ name }, pre], index) => [name, { pre, post: outcomeOf(results[index] as CommandResult) }]),
    );
    return apps.map(({ name }) => ({ name, ...(outcomes.get(name) ?? { pre: 'not-run', post: 'not-run' }) }));
  };

  return { recover, hold, held: () => [...held.keys()].map(({ name }) => name), release };
};
