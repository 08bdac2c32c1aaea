/** The applications of one attempt, through felhom-quiesced: made ready, held, looked at, let go. Nothing here ever rejects. */
import { type Clock, sleep } from '#shared/clock';
import type { CheckedApp, HeldApp, PreparedApp, ReleasedApp, Replies } from '#shared/quiesce/protocol';
import type { Answered, ConnectQuiesced, Quiesced } from '../ports/quiesced.ts';
import type { GuestView } from './coverage.ts';
import type { Happening } from './events.ts';
import { type GuestPorts, lookAround, viewOf } from './guest-view.ts';
import { confirmed, type Planned, planApps } from './plan.ts';
import type { AppOutcome } from './result.ts';
import { type CutFacts, judge } from './verdict.ts';

export interface ApplicationPorts extends GuestPorts {
  connect: ConnectQuiesced;
  clock: Clock;
  emit: (event: Happening) => void;
  /** The applications of the attempt before, by an earlier run of this program too; empty where it is not known. */
  remembered: () => Promise<readonly Known[]>;
}

/** An application that nothing else is known of. */
type Known = Pick<AppOutcome, 'name' | 'adapter'>;

/** What an attempt needs to know before it holds anything. */
export interface Occasion {
  /** Whether applications are to be held for it. */
  hold: boolean;
  /** On the monotonic clock: by then all must be ready and held. */
  lapsesAt: number;
  oneInstant: boolean;
  holdExpectedMs: number | null;
}

export interface Applications {
  /** That are to be consistent in the archive. */
  intends: string[];
  /** Held now. */
  held(): string[];
  /** On the monotonic clock, since when; null where none is. */
  heldSince: number | null;
  /** Until then they stay held at the most; without end where none is. */
  deadline: number;
  /** Whether each hold still stands; quick, whatever the applications do. */
  check(): Promise<void>;
  /** Asks before it returns its promise, which resolves after the first try of each. Answers who is not back. */
  release(): Promise<ReleasedApp[]>;
  /** After the cut: whether the backup includes their data as it did when they were made ready. */
  confirm(): Promise<void>;
  outcomes(facts: CutFacts): AppOutcome[];
  /** Why felhom-quiesced did not do its part; empty where it did. */
  error(): string;
  close(): void;
}

/** What came of making them ready and holding them. */
interface Course {
  planned: Planned[];
  prepared: readonly PreparedApp[];
  view: GuestView;
  answer: Answered<Replies['hold']>;
  /** On the monotonic clock, the first hold. */
  since: number;
}

/** Left of an offer when all are ready: for the hold and for the request. */
const KEPT_OF_OFFER_MS = 20_000;
/** Where the offer has no end. */
const PREPARE_MS = 150_000;
const LEAST_PREPARE_MS = 1000;
/** quiesced is ready by `within_ms` itself, and then brings what was written to the disks, for a minute at the most. */
const FLUSH_MS = 65_000;
/** Then the offer can no longer be taken. */
const LAST_MS = 5000;
/** More than quiesced takes for looking, the lease, all holds and a flush. */
const HOLD_MS = 90_000;
/** A sick application must not keep the others held. */
const CHECK_MS = 2000;
const RELEASE_MS = 120_000;
const STATUS_MS = 3000;
/** An agent that is just being restarted is asked again; the report waits for it. */
const CONFIRM_MS = 8000;
const CONFIRM_AGAIN_MS = 1000;

/** An attempt in which nobody is held. */
const nobody = (planned: Planned[], error: string): Applications => ({
  intends: planned.map(({ name }) => name),
  held: () => [],
  heldSince: null,
  deadline: Number.POSITIVE_INFINITY,
  check: async () => undefined,
  release: async () => [],
  confirm: async () => undefined,
  outcomes: (facts) => judge(planned, facts, { held: [], checked: [], released: [], error }),
  error: () => error,
  close: () => undefined,
});

/** An application that could not be asked. */
const unready = ({ name, adapter }: Known, error: string): Planned => ({
  name,
  adapter,
  kind: null,
  ready: false,
  error,
  running: false,
  oneDisk: false,
  covered: false,
  notCovered: '',
  policy: 'auto',
  hold: false,
});

const NOT_WANTED = 'the host asked for this backup without holding any application';

export const createApplications = ({ connect, clock, emit, remembered, ...guest }: ApplicationPorts) => {
  let known: readonly Known[] | null = null;
  const remember = (apps: readonly Known[]): void => {
    known = apps.map(({ name, adapter }) => ({ name, adapter }));
  };

  /** Whoever can be named is, so that the host learns what the archive lacks: silence would read as "there are none". */
  const named = async (why: string, error: string): Promise<Applications> => {
    known ??= await remembered();
    return nobody(
      known.map((app) => unready(app, why)),
      error,
    );
  };

  /** Nothing is held. */
  const without = async (quiesced: Quiesced, failure: { code: string; error: string }): Promise<Applications> => {
    emit({ kind: 'quiesced-failed', step: 'prepare', ...failure });
    const status = failure.code === 'cancelled' ? null : await quiesced.call('status', {}, { timeoutMs: STATUS_MS });
    quiesced.close();
    // Of a quiesce.yaml that cannot be used it knows no application.
    if (status?.ok && status.data.config_error === '') remember(status.data.apps);
    return named(failure.error, failure.error);
  };

  const hold = async (
    quiesced: Quiesced,
    planned: readonly Planned[],
    { lapsesAt, oneInstant, holdExpectedMs }: Occasion,
    signal: AbortSignal,
  ): Promise<Answered<Replies['hold']>> => {
    const apps = planned.flatMap(({ hold: wanted, name }) => (wanted ? [name] : []));
    if (apps.length === 0) return { ok: true, data: { left_ms: 0, apps: [] } };
    const request = { apps, hold_expected_ms: holdExpectedMs, flush: !oneInstant };
    const timeoutMs = Math.max(0, Math.min(HOLD_MS, lapsesAt - clock.monotonic()));
    const began = clock.monotonic();
    const answer = await quiesced.call('hold', request, { timeoutMs, signal });
    if (answer.ok) {
      const held = answer.data.apps.filter(({ held: one }) => one).map(({ app }) => app);
      const failed = answer.data.apps.filter(({ held: one }) => !one);
      emit({ kind: 'apps-held', apps: held, failed, ms: Math.round(clock.monotonic() - began), left_ms: answer.data.left_ms });
    } else {
      emit({ kind: 'quiesced-failed', step: 'hold', code: answer.code, error: answer.error });
      // Whoever it may hold by now is let go by that; what was refused for the lease holds nobody.
      if (answer.code !== 'lease') quiesced.close();
    }
    return answer;
  };

  /** Null: the host does not say what a backup includes. */
  const lookAgain = async (prepared: readonly PreparedApp[]): Promise<GuestView | null> => {
    const until = clock.monotonic() + CONFIRM_MS;
    for (;;) {
      const around = await lookAround(guest, undefined, Math.max(1, until - clock.monotonic()));
      if (around.coverage !== null) return viewOf(guest, around, prepared);
      if (clock.monotonic() + CONFIRM_AGAIN_MS >= until) return null;
      await sleep(clock, CONFIRM_AGAIN_MS);
    }
  };

  const applications = (quiesced: Quiesced, { planned, prepared, view, answer, since }: Course): Applications => {
    let final = confirmed(planned, prepared, view, null);
    const held: readonly HeldApp[] = answer.ok ? answer.data.apps : [];
    let checked: readonly CheckedApp[] = [];
    let released: readonly ReleasedApp[] = [];
    let error = answer.ok ? '' : answer.error;
    let names = held.flatMap(({ app, held: one }) => (one ? [app] : []));
    const isAny = names.length > 0;

    const check = async (): Promise<void> => {
      const looked = await quiesced.call('check', {}, { timeoutMs: CHECK_MS });
      if (looked.ok) checked = looked.data.apps;
      else {
        emit({ kind: 'quiesced-failed', step: 'check', code: looked.code, error: looked.error });
        if (error === '') error = looked.error;
      }
    };
    const release = async (): Promise<ReleasedApp[]> => {
      const asked = names.length === 0 ? null : quiesced.call('release', {}, { timeoutMs: RELEASE_MS });
      names = [];
      const let_go = await asked;
      if (let_go === null) return [];
      if (let_go.ok) released = let_go.data.apps;
      else emit({ kind: 'quiesced-failed', step: 'release', code: let_go.code, error: let_go.error });
      return released.filter(({ back }) => !back);
    };
    return {
      intends: planned.map(({ name }) => name),
      held: () => names,
      heldSince: isAny ? since : null,
      deadline: isAny && answer.ok ? clock.monotonic() + answer.data.left_ms : Number.POSITIVE_INFINITY,
      check,
      release,
      confirm: async () => {
        if (planned.some(({ covered }) => covered)) final = confirmed(planned, prepared, view, await lookAgain(prepared));
      },
      outcomes: (facts) => judge(facts.reason === 'point' ? final : planned, facts, { held, checked, released, error }),
      error: () => error,
      close: quiesced.close,
    };
  };

  /** Makes all ready while they go on working, then holds those that it helps. */
  const getReady = async (occasion: Occasion, signal: AbortSignal): Promise<Applications> => {
    if (!occasion.hold) return named(NOT_WANTED, '');
    const connected = await connect(signal);
    if (!connected.ok) {
      emit({ kind: 'quiesced-failed', step: 'connect', code: connected.code, error: connected.error });
      return named(connected.error, connected.error);
    }
    const quiesced = connected.data;
    const began = clock.monotonic();
    const offered = occasion.lapsesAt - began;
    const within_ms = Math.round(Math.min(PREPARE_MS, Math.max(LEAST_PREPARE_MS, offered - KEPT_OF_OFFER_MS)));
    const timeoutMs = Math.max(within_ms, Math.min(within_ms + FLUSH_MS, offered - LAST_MS));
    const [prepared, around] = await Promise.all([
      quiesced.call('prepare', { apps: [], within_ms }, { timeoutMs, signal }),
      lookAround(guest, signal),
    ]);
    if (!prepared.ok) return without(quiesced, prepared);
    remember(prepared.data.apps.map(({ app, adapter }) => ({ name: app, adapter })));
    if (prepared.data.apps.length === 0) {
      quiesced.close();
      return nobody([], '');
    }
    const view = await viewOf(guest, around, prepared.data.apps);
    const planned = planApps(prepared.data.apps, view, occasion.oneInstant);
    const failed = planned.flatMap(({ name, ready, error }) => (ready ? [] : [{ app: name, error }]));
    emit({ kind: 'apps-ready', apps: planned.map(({ name }) => name), failed, ms: Math.round(clock.monotonic() - began) });
    const since = clock.monotonic();
    const answer = await hold(quiesced, planned, occasion, signal);
    return applications(quiesced, { planned, prepared: prepared.data.apps, view, answer, since });
  };

  return { getReady };
};
