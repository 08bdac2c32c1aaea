/** One attempt, from `prepare` to the end of its connection: what is made ready, held, looked at and let go. */
import { type Clock, waitAtMost } from '#shared/clock';
import { afterAwake } from '#shared/quiesce/awake';
import type { QuiesceApp, QuiesceConfig } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import type { CheckedApp, HeldApp, Place, PreparedApp, ReleasedApp, Replies, RequestOf } from '#shared/quiesce/protocol';
import type { State } from './adapters/adapter.ts';
import type { Children } from './children.ts';
import type { QuiesceFile } from './config.ts';
import type { LeaseStore } from './lease.ts';
import type { LettingGo } from './letting-go.ts';
import type { ChildLink } from './link.ts';
import type { Log } from './log.ts';
import { makeReady } from './preparing.ts';
import { Refused } from './refused.ts';

export interface AttemptPorts {
  clock: Clock;
  readConfig: () => Promise<QuiesceFile>;
  children: Children;
  leases: LeaseStore;
  letting: LettingGo;
  placesOf: (paths: readonly string[] | null) => Promise<Place[] | null>;
  /** What was written to these file systems is on their disks when it returns. */
  flush: (places: readonly Place[], timeoutMs: number, signal?: AbortSignal) => Promise<void>;
  log: Log;
}

export interface Attempt {
  prepare(request: RequestOf<'prepare'>): Promise<Replies['prepare']>;
  hold(request: RequestOf<'hold'>): Promise<Replies['hold']>;
  check(): Promise<Replies['check']>;
  release(): Promise<Replies['release']>;
  /** What is held now. */
  lease(): { apps: string[]; left_ms: number } | null;
  /** The connection has ended, or this program ends. Returns after the first try of each. */
  end(): Promise<void>;
  /** Resolves when nothing is made ready or held any more that was begun before its end: another attempt may begin. */
  settled(): Promise<void>;
}

/** Of one attempt, an application. */
interface One {
  app: QuiesceApp;
  ready: PreparedApp;
  link: ChildLink | null;
  state: State;
  /** When its hold began; null: it was not touched. */
  heldAt: number | null;
  letGo: Promise<ReleasedApp> | null;
  /** Why it is not held, or no longer. */
  error: string;
}

const LOOK_MS = 5000;
const CHECK_MS = 3000;
const LEASE_MS = 10_000;
const FLUSH_MS = 60_000;
/** Together, unless one application alone may take longer. */
const ALL_HOLDS_MS = 15_000;
const SPARE_MS = 15_000;
const GIVEN_UP = 'it was given up before it was held';

/** How long a hold may last. */
export const leaseMs = (holdMax: number, expected: number | null): number =>
  Math.min(holdMax, expected === null ? Number.POSITIVE_INFINITY : 3 * expected + SPARE_MS);

const isHeld = ({ heldAt, letGo }: One): boolean => heldAt !== null && letGo === null;

export const createAttempt = ({ clock, readConfig, children, leases, letting, placesOf, flush, log }: AttemptPorts): Attempt => {
  let phase: 'new' | 'preparing' | 'ready' | 'holding' | 'held' | 'over' = 'new';
  let config: QuiesceConfig = { apps: [], hold_max: 0 };
  let ones: One[] = [];
  let until = 0;
  let cancelDeadline = (): void => undefined;
  /** No hold is begun any more. */
  const givenUp = new AbortController();

  const leftMs = (): number => Math.max(0, Math.round(until - clock.monotonic()));

  /** Lines are written again when nobody is held and each was tried once to be let go. */
  const speakAgain = async (): Promise<void> => {
    await Promise.all(ones.map(({ letGo }) => letGo));
    if (phase !== 'holding' && !ones.some(isHeld)) log.end();
  };
  const letGo = (one: One, why: string): Promise<ReleasedApp> => {
    if (one.letGo !== null) return one.letGo;
    one.error = why;
    one.letGo = letting.begin({ app: one.app, state: one.state, link: one.link, heldAt: one.heldAt });
    void speakAgain();
    return one.letGo;
  };
  const letGoHeld = (why: string): void => {
    cancelDeadline();
    for (const one of ones) if (isHeld(one)) void letGo(one, why);
  };

  const flushAll = async (these: readonly One[], timeoutMs: number, signal?: AbortSignal): Promise<void> => {
    const places = these.flatMap(({ ready }) => ready.data ?? []);
    const one = [...new Map(places.map((place) => [place.device, place])).values()];
    if (one.length > 0) await flush(one, timeoutMs, signal);
  };

  const prepare = async ({ apps, within_ms }: RequestOf<'prepare'>): Promise<Replies['prepare']> => {
    if (phase !== 'new' && phase !== 'ready' && phase !== 'over') throw new Refused('invalid', 'not now: something is held');
    if (givenUp.signal.aborted) throw new Refused('invalid', 'this attempt has ended');
    phase = 'preparing';
    await Promise.all(ones.map(({ link }) => link?.end()));
    ones = [];
    const file = await readConfig();
    if (!file.ok) {
      phase = 'new';
      throw new Refused('config', file.error);
    }
    config = file.config;
    const unknown = apps.filter((name) => !config.apps.some((app) => app.name === name));
    if (unknown.length > 0) {
      phase = 'new';
      throw new Refused('invalid', `quiesce.yaml has no application called ${unknown.join(', ')}`);
    }
    const wanted = config.apps.filter(({ name }) => apps.length === 0 || apps.includes(name));
    const preparing = { clock, children, isNotBack: letting.isNotBack, placesOf };
    const made = await Promise.all(wanted.map((app) => makeReady(app, within_ms, givenUp.signal, preparing)));
    ones = made.map(({ ready, link }, index) => ({
      app: wanted[index] as QuiesceApp,
      ready,
      link,
      state: null,
      heldAt: null,
      letGo: null,
      error: ready.error,
    }));
    if (!givenUp.signal.aborted) {
      await flushAll(ones, FLUSH_MS, givenUp.signal).catch((error: unknown) =>
        log.say(4, `what the applications wrote may not be on the disks yet: ${errorText(error)}`),
      );
    }
    // Given up meanwhile: those that were ready by then are not waited for by anybody.
    if (givenUp.signal.aborted) await Promise.all(ones.map(({ link }) => link?.end()));
    phase = 'ready';
    return { apps: ones.map(({ ready }) => ready) };
  };

  /** What would have to be set going again. */
  const look = async (one: One): Promise<void> => {
    try {
      if (one.link === null) throw new Error(one.error || 'it is not ready');
      one.error = '';
      one.state = await one.link.call('look', null, { timeoutMs: LOOK_MS });
      if (one.state === null) one.error = 'it does not run, so there is nothing to hold';
    } catch (error) {
      one.state = null;
      one.error = errorText(error);
    }
  };

  const writeLease = async (these: readonly One[]): Promise<void> => {
    const adding = leases.add(these.map(({ app, state }) => ({ app, state })));
    let added = false;
    void adding.then(
      () => {
        added = true;
      },
      () => undefined,
    );
    try {
      await waitAtMost(clock, LEASE_MS, adding);
      if (!added) throw new Error(`it took longer than ${LEASE_MS / 1000} s`);
    } catch (error) {
      for (const { app } of these) leases.drop(app.name);
      throw new Refused('lease', `the lease could not be made durable, so nothing is held: ${errorText(error)}`);
    }
  };

  const holdOne = async (one: One, timeoutMs: number): Promise<void> => {
    const link = one.link as ChildLink;
    one.heldAt = clock.monotonic();
    void link.gone.then(() => {
      if (isHeld(one)) void letGo(one, 'the process that held it has ended');
    });
    try {
      await link.call('hold', { state: one.state, left_ms: leftMs() }, { timeoutMs });
    } catch (error) {
      void letGo(one, errorText(error));
    }
  };

  const holdAll = async (these: readonly One[]): Promise<HeldApp[]> => {
    const all = clock.monotonic() + Math.max(ALL_HOLDS_MS, ...these.map(({ app }) => app.hold_timeout));
    const results: HeldApp[] = [];
    for (const one of these) {
      const started = clock.monotonic();
      const timeoutMs = Math.min(one.app.hold_timeout, all - started, leftMs());
      if (givenUp.signal.aborted || leftMs() <= 0) one.error = GIVEN_UP;
      else if (timeoutMs <= 0) one.error = 'the applications before it took all the time there is for holding';
      else await holdOne(one, timeoutMs);
      results.push({ app: one.app.name, held: false, error: '', ms: Math.round(clock.monotonic() - started) });
    }
    for (const one of these) if (one.heldAt === null) leases.drop(one.app.name);
    return results;
  };

  const hold = async ({ apps, hold_expected_ms, flush: flushes }: RequestOf<'hold'>): Promise<Replies['hold']> => {
    if (phase !== 'ready') throw new Refused('invalid', 'not now: `prepare` comes before `hold`');
    phase = 'holding';
    const unknown = apps.filter((name) => !ones.some(({ app }) => app.name === name));
    const wanted = ones.filter(({ app }) => apps.includes(app.name));
    await Promise.all(wanted.map(look));
    const these = wanted.filter(({ state }) => state !== null);
    let results: HeldApp[] = [];
    try {
      if (these.length > 0 && !givenUp.signal.aborted) {
        await writeLease(these);
        log.begin();
        const length = leaseMs(config.hold_max, hold_expected_ms);
        until = clock.monotonic() + length;
        cancelDeadline = afterAwake(clock, length, () => letGoHeld('the longest time to hold was reached'));
        results = await holdAll(these);
        if (flushes) {
          await flushAll(these.filter(isHeld), Math.min(FLUSH_MS, leftMs())).catch((error: unknown) =>
            letGoHeld(`what it wrote could not be brought to the disk: ${errorText(error)}`),
          );
        }
      }
      phase = givenUp.signal.aborted ? 'over' : 'held';
    } catch (error) {
      phase = 'ready';
      throw error;
    } finally {
      void speakAgain();
    }
    return {
      left_ms: ones.some(isHeld) ? leftMs() : 0,
      apps: [
        ...wanted.map((one) => {
          const ms = results.find(({ app }) => app === one.app.name)?.ms ?? 0;
          const held = isHeld(one);
          return { app: one.app.name, held, error: held ? '' : one.error || GIVEN_UP, ms };
        }),
        ...unknown.map((app) => ({ app, held: false, error: 'it was not made ready', ms: 0 })),
      ],
    };
  };

  const checkOne = async (one: One): Promise<CheckedApp> => {
    const gone: CheckedApp = { app: one.app.name, stands: false, frozen_ms: null, error: one.error || 'it is not ready' };
    if (one.link === null || one.letGo !== null) return gone;
    try {
      const found = await one.link.call('check', null, { timeoutMs: CHECK_MS });
      // A process that says so while it is being let go speaks of a moment before.
      if (one.letGo !== null) return { ...gone, error: one.error };
      const error = found.stands
        ? ''
        : one.heldAt === null
          ? 'what was true when it was made ready is not any more'
          : 'the hold no longer stands';
      return { app: one.app.name, ...found, error };
    } catch (error) {
      return { ...gone, error: errorText(error) };
    }
  };
  const check = async (): Promise<Replies['check']> => {
    if (phase !== 'ready' && phase !== 'held') throw new Refused('invalid', 'not now: nothing is ready or held');
    return { apps: await Promise.all(ones.map(checkOne)) };
  };

  const release = async (): Promise<Replies['release']> => {
    // Also in the middle of `prepare` or `hold`, which then begin nothing more.
    if (phase === 'preparing' || phase === 'holding') givenUp.abort();
    letGoHeld('it was let go');
    const apps = await Promise.all(ones.flatMap((one) => (one.letGo === null ? [] : [one.letGo])));
    for (const one of ones) if (one.heldAt === null) void one.link?.end();
    if (phase !== 'holding' && phase !== 'preparing') phase = 'over';
    return { apps };
  };

  let working: Promise<unknown> = Promise.resolve();
  const atWork = <R>(work: Promise<R>): Promise<R> => {
    working = Promise.allSettled([working, work]);
    return work;
  };

  return {
    prepare: (request) => atWork(prepare(request)),
    hold: (request) => atWork(hold(request)),
    check,
    release,
    lease: () => {
      const apps = ones.filter(isHeld).map(({ app }) => app.name);
      return apps.length === 0 ? null : { apps, left_ms: leftMs() };
    },
    end: async () => {
      givenUp.abort();
      await release();
    },
    settled: async () => void (await working),
  };
};
