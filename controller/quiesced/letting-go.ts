/** Letting applications go: each by itself, all at the same time, again and again until it is back. */
import { type Clock, sleep, waitAtMost } from '#shared/clock';
import { errorText } from '#shared/quiesce/plain-text';
import type { ReleasedApp } from '#shared/quiesce/protocol';
import type { Children } from './children.ts';
import { retryMs } from './held-app.ts';
import type { LeasedApp } from './lease.ts';
import { AppSays, type ChildLink } from './link.ts';
import type { Say } from './log.ts';

export interface LettingGoPorts {
  clock: Clock;
  children: Children;
  say: Say;
  /** It is back, or given up: the lease need not name it any more. */
  dropped: (name: string) => void;
  /** Whether quiesce.yaml names it now; true where that cannot be told. */
  isNamed: (name: string) => Promise<boolean>;
}

export interface Release extends LeasedApp {
  /** The child that holds it; null: a fresh one is to do it. */
  link: ChildLink | null;
  /** When its hold began, monotonic; null: not known. */
  heldAt: number | null;
}

export interface LettingGo {
  /** Resolves after the first try, or when that takes long. Goes on until it is back, or until root gives it up. Never rejects. */
  begin(release: Release): Promise<ReleasedApp>;
  /** Let go, but not back. */
  notBack(): { app: string; error: string; since_ms: number }[];
  isNotBack(name: string): boolean;
  /** Resolves when all are back. */
  allBack(): Promise<void>;
  /** No further try. */
  stop(): void;
}

/** An answer to the controller does not wait longer for one application. */
export const ANSWER_MS = 8000;
/** A child that lets go says every 250 ms that it is there. */
const SILENCE_MS = 2500;
/** Starting what was stopped; a command brings its own. */
const TRY_MS = 120_000;
/** For ending a command that has used up its time. */
const SLACK_MS = 10_000;
const TELL_AFTER_MS = 60_000;
/** So many tries, about a minute and a half, are made also for one that quiesce.yaml no longer names. */
const LEAST_TRIES = 8;

const limitOf = ({ app }: LeasedApp): number => (app.adapter === 'command' ? app.post.timeout + SLACK_MS : TRY_MS);
const inSeconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

export const createLettingGo = ({ clock, children, say, dropped, isNamed }: LettingGoPorts): LettingGo => {
  const going = new Map<string, { since: number; error: string; done: Promise<void> }>();
  const stopped = new AbortController();

  const by = async (link: ChildLink, leased: LeasedApp): Promise<void> => {
    await link.call('release', { state: leased.state }, { timeoutMs: limitOf(leased), silenceMs: SILENCE_MS });
    void link.end();
  };
  const byFresh = async (leased: LeasedApp): Promise<void> => {
    const link = await children.open(leased.app);
    try {
      await by(link, leased);
    } catch (error) {
      await link.kill();
      throw error;
    }
  };
  /** A child that is of no use any more is replaced at once; what the application itself refuses is tried again later. */
  const tryFirst = async ({ link, ...leased }: Release): Promise<void> => {
    if (link === null) return byFresh(leased);
    try {
      await by(link, leased);
    } catch (error) {
      await link.kill();
      if (error instanceof AppSays) throw error;
      say(4, `${leased.app.name}: ${errorText(error)}; a fresh one lets it go`);
      await byFresh(leased);
    }
  };

  const attempt = async (leased: Release, failed: number): Promise<boolean> => {
    const { name } = leased.app;
    const entry = going.get(name);
    if (entry === undefined) return true;
    try {
      await (failed === 0 ? tryFirst(leased) : byFresh(leased));
      return true;
    } catch (error) {
      if (stopped.signal.aborted) return false;
      entry.error = errorText(error);
      const waits = clock.monotonic() - entry.since;
      const long = waits >= TELL_AFTER_MS ? ` It is not back since ${inSeconds(waits)}: look at it.` : '';
      say(long === '' ? 4 : 3, `${name}: could not be let go (try ${failed + 1}): ${entry.error}.${long}`);
      return false;
    }
  };

  const begin = (release: Release): Promise<ReleasedApp> => {
    const { name } = release.app;
    const since = clock.monotonic();
    const heldMs = () => Math.round(clock.monotonic() - (release.heldAt ?? since));
    let endedAfter: number | null = null;
    const back = () => {
      endedAfter = heldMs();
      going.delete(name);
      dropped(name);
      say(
        6,
        `${name}: back after ${inSeconds(clock.monotonic() - since)}${release.heldAt === null ? '' : `, held for ${inSeconds(endedAfter)}`}`,
      );
    };
    const giveUp = () => {
      going.delete(name);
      dropped(name);
      say(3, `${name}: given up, for quiesce.yaml no longer names it. If it is still wanted, bring it back by hand.`);
    };
    let first: Promise<unknown> = Promise.resolve();
    const run = async (): Promise<void> => {
      for (let failed = 0; !stopped.signal.aborted; failed++) {
        if (failed > 0) await sleep(clock, retryMs(failed), stopped.signal);
        if (stopped.signal.aborted) return;
        const trying = attempt(release, failed);
        if (failed === 0) first = trying;
        if (await trying) return back();
        // Somebody who may write that file has removed the application for good.
        if (failed + 1 >= LEAST_TRIES && !(await isNamed(name))) return giveUp();
      }
    };
    const entry = { since, error: '', done: Promise.resolve() };
    going.set(name, entry);
    entry.done = run();
    return waitAtMost(clock, ANSWER_MS, first).then(() => ({
      app: name,
      back: !going.has(name),
      held_ms: endedAfter ?? heldMs(),
      error: going.has(name) ? entry.error || 'it is not back yet' : '',
    }));
  };

  return {
    begin,
    notBack: () => [...going].map(([app, { since, error }]) => ({ app, error, since_ms: Math.round(clock.monotonic() - since) })),
    isNotBack: (name) => going.has(name),
    allBack: async () => {
      await Promise.all([...going.values()].map(({ done }) => done));
    },
    stop: () => stopped.abort(),
  };
};
