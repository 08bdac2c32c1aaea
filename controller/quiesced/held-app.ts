/** One application within its child: one step at a time, watched while it is held, and let go by itself when its time is over. */
import { type Clock, sleep } from '#shared/clock';
import { afterAwake, TICK_MS } from '#shared/quiesce/awake';
import { errorText } from '#shared/quiesce/plain-text';
import type { Session, State } from './adapters/adapter.ts';
import { createGapWatch } from './gap.ts';
import type { Found, FromChild, Standing } from './ipc.ts';

/** The main process ends the hold at its deadline; so much later the child does it alone. */
const MARGIN_MS = 500;
/** How often a hold is looked at, in ticks. */
const LOOK_EVERY = 4;
/** Between the tries to let go without the main process; the last one again and again. */
export const RETRY_MS = [1000, 2000, 4000, 8000, 15_000, 60_000] as const;
export const retryMs = (failed: number): number => RETRY_MS[Math.min(failed, RETRY_MS.length) - 1] as number;

export interface HeldApp {
  prepare(): Promise<Found>;
  look(): Promise<State>;
  hold(state: State, leftMs: number): Promise<void>;
  check(): Promise<Standing>;
  release(state: State): Promise<void>;
  /** Nobody is there any more who would ask for it: lets go what is held, however often that takes. */
  letGoAlone(why: string): Promise<void>;
}

export const createHeldApp = (session: Session, clock: Clock, tell: (message: FromChild) => void): HeldApp => {
  /** From the beginning of a hold, or of letting go another process's, until it is let go, also where it failed half-way. */
  let mine: { state: State; until: number } | null = null;
  let held = false;
  /** It was seen not to stand. Whatever stands after that is not the same hold any more. */
  let broken = false;
  let back = false;
  let releasing: Promise<void> | null = null;
  let cancelDeadline = (): void => undefined;
  let cancelTick = (): void => undefined;
  let gaps = createGapWatch(clock.monotonic());

  /** The session is asked one thing at a time; only a release does not wait. */
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const result = turn.then(act, act);
    turn = result.catch(() => undefined);
    return result;
  };

  const leftMs = (): number => (mine === null ? 0 : Math.max(0, Math.round(mine.until - clock.monotonic())));
  /** A moment at which the hold stood is the one before it was asked: the answer may have waited through a freeze. */
  const stands = (): Promise<boolean> =>
    inTurn(async () => {
      if (broken) return false;
      const asked = clock.monotonic();
      const stood = await session.stillHeld(leftMs());
      if (stood && held) gaps.stood(asked);
      broken = held && !stood;
      return stood;
    });

  const watch = () => {
    let ticks = 0;
    let looking = false;
    const tick = () => {
      gaps.tick(clock.monotonic());
      tell({ say: 'alive' });
      ticks += 1;
      if (held && releasing === null && !looking && ticks % LOOK_EVERY === 1) {
        looking = true;
        void stands()
          .catch(() => false)
          .finally(() => {
            looking = false;
          });
      }
      cancelTick = clock.after(TICK_MS, tick);
    };
    cancelTick();
    gaps = createGapWatch(clock.monotonic());
    tick();
  };

  const release = async (state: State): Promise<void> => {
    if (back) return;
    cancelDeadline();
    held = false;
    mine ??= { state, until: clock.monotonic() };
    if (releasing === null) {
      watch();
      releasing = session
        .release(state)
        .then(() => {
          back = true;
          mine = null;
        })
        .finally(() => {
          releasing = null;
          cancelTick();
        });
    }
    return releasing;
  };

  const letGoAlone = async (why: string): Promise<void> => {
    for (let failed = 0; mine !== null; ) {
      const { state } = mine;
      try {
        await release(state);
        tell({ say: 'line', priority: 4, text: `let go by its own process: ${why}` });
      } catch (error) {
        failed += 1;
        tell({ say: 'line', priority: 3, text: `could not be let go by its own process: ${errorText(error)}` });
        await sleep(clock, retryMs(failed));
      }
    }
  };

  const hold = async (state: State, left: number): Promise<void> => {
    back = false;
    broken = false;
    mine = { state, until: clock.monotonic() + left };
    cancelDeadline = afterAwake(clock, left + MARGIN_MS, () => void letGoAlone('its time is over'));
    const letGo = (): boolean => mine === null || releasing !== null || back;
    await inTurn(async () => {
      if (!letGo()) await session.hold(state, left);
    });
    if (letGo()) throw new Error('it was let go before it was held');
    held = true;
    watch();
    gaps.stood(clock.monotonic());
  };

  const check = async (): Promise<Standing> => {
    // Let go by itself meanwhile: nothing is held, however well the application looks.
    if (back || (mine !== null && !held)) return { stands: false, frozen_ms: null };
    const wasHeld = held;
    // A connection that broke while we were frozen fails, rather than saying no.
    const stood = await (wasHeld ? stands().catch(() => false) : stands());
    return { stands: stood, frozen_ms: stood || !wasHeld ? null : gaps.endedWithin(clock.monotonic()) };
  };

  return {
    prepare: () => inTurn(async () => ({ ...(await session.prepare()), paths: await session.whereDataLies() })),
    look: () => inTurn(() => session.look()),
    hold,
    check,
    release,
    letGoAlone,
  };
};
