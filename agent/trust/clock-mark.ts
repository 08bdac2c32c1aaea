/** The newest time that was believed: a clock that is far behind it is wrong, and old signatures would look new. */
import type { Clock } from '#shared/clock';
import { timestamp } from '#shared/ids';
import type { Problems } from '../health/problems.ts';
import type { Statement, Store } from '../ports/store.ts';

export interface ClockMarkPorts {
  store: Pick<Store, 'all' | 'write'>;
  clock: Clock;
  /** The kernel says that its clock is synchronised; false where nobody says so. Never rejects. */
  synchronised: () => Promise<boolean>;
  problems: Pick<Problems, 'raise' | 'clear'>;
}

export interface ClockMark {
  /** Milliseconds since 1970; null: none was ever believed. */
  mark(): number | null;
  /** For root: why the clock is not believed; empty where it is. */
  doubt(): string;
  /** Moves the mark where it may. Never more often than once an hour. */
  tick(): Promise<void>;
  /** The clock is right as it is. `more` is written with it, all or nothing. */
  accept(more: readonly Statement[]): Promise<void>;
}

/** A clock that jumps ahead takes the mark along by no more than this at a time. */
const STEP_MS = 86_400_000;
const PACE_MS = 3_600_000;

const DOUBTFUL = "The host's clock is behind a time that it had already, so no signature of the operator is accepted.";
const ACCEPT_CLOCK = 'Set the clock ("timedatectl"), or run "felhom-agent clock accept" if it is right now.';

export const loadClockMark = async ({ store, clock, synchronised, problems }: ClockMarkPorts): Promise<ClockMark> => {
  const [row] = await store.all<{ clock_mark: number | null }>('SELECT clock_mark FROM grant_state');
  let mark = row?.clock_mark ?? null;
  let movedAt = Number.NEGATIVE_INFINITY;

  const put = (to: number): Statement => ({ sql: 'UPDATE grant_state SET clock_mark = ? WHERE one = 1', values: [to] });

  const doubt = (): string => {
    if (mark === null || clock.now() >= mark - STEP_MS) return '';
    return `The clock of this host says ${timestamp(clock.now())}, but it was ${timestamp(mark)} already. ${ACCEPT_CLOCK}`;
  };

  const judge = (): void => {
    const evidence = doubt();
    if (evidence === '') problems.clear('clock-doubtful', null);
    else problems.raise({ code: 'clock-doubtful', vmid: null, sentence: DOUBTFUL, evidence, nextStep: ACCEPT_CLOCK });
  };

  const move = async (): Promise<void> => {
    const now = clock.now();
    if (mark !== null && now <= mark) return;
    const to = mark === null ? now : Math.min(now, mark + STEP_MS);
    await store.write(put(to));
    mark = to;
  };

  return {
    mark: () => mark,
    doubt,
    tick: async () => {
      judge();
      if (clock.monotonic() - movedAt < PACE_MS || !(await synchronised())) return;
      movedAt = clock.monotonic();
      await move();
    },
    accept: async (more) => {
      const now = clock.now();
      await store.write(put(now), ...more);
      mark = now;
      judge();
    },
  };
};
