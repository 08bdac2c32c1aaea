/** Readings that may fail: each with a deadline, each failure a value, told to the journal once. */
import { LateError, type Reading } from '#agent/collector';
import type { Journal } from '#agent/ports/journal';
import { ProxmoxError } from '#agent/ports/proxmox';
import type { Clock } from '#shared/clock';

/** What was read, or why it could not be. */
export type Known<T> = { ok: true; value: T } | { ok: false; why: unknown };

export const known = <T>(value: T): Known<T> => ({ ok: true, value });

export const whereKnown = <T>(reading: Known<T> | null): T | null => (reading?.ok ? reading.value : null);

/** Why, in words that give nothing away. */
export const whyUnknown = (why: unknown): string => {
  if (why instanceof LateError) return 'no answer in time';
  if (why instanceof ProxmoxError) return why.status === 0 ? 'no answer' : `HTTP ${why.status}`;
  return 'an unexpected error, which is in the journal';
};

const within = <T>(clock: Clock, ms: number, reading: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const cancel = clock.after(Math.max(0, ms), () => reject(new LateError(`no answer in ${ms} ms`)));
    reading.then(resolve, reject).finally(cancel);
  });

export interface Reader {
  /** Never rejects. `what` names the reading, for the journal and for others who want the same at the same time. */
  read<T>(what: string, ms: number, reading: () => Promise<T>): Promise<Known<T>>;
  /** Of a collector, which has a deadline of its own. */
  collect<T>(what: string, reading: () => Promise<Reading<T>>): Promise<Known<T>>;
}

/** A failure that goes on is told once, not at every check. */
export const createReader = (clock: Clock, journal: Journal): Reader => {
  const told = new Map<string, string>();
  const running = new Map<string, Promise<unknown>>();

  /** Two guests' checks at once look at one target once. */
  const shared = <T>(what: string, reading: () => Promise<T>): Promise<T> => {
    const current = running.get(what) as Promise<T> | undefined;
    if (current !== undefined) return current;
    const begun = Promise.resolve()
      .then(reading)
      .finally(() => running.delete(what));
    running.set(what, begun);
    return begun;
  };

  const note = <T>(what: string, reading: Known<T>): Known<T> => {
    const why = reading.ok ? '' : String(reading.why);
    if (why === '') told.delete(what);
    else if (told.get(what) !== why) journal('warning', 'A check before a backup could not read what it needs.', { what, why });
    if (why !== '') told.set(what, why);
    return reading;
  };

  const read: Reader['read'] = async (what, ms, reading) => {
    const result = await within(clock, ms, shared(what, reading)).then(known, (why: unknown) => ({ ok: false, why }) as const);
    return note(what, result);
  };

  const collect: Reader['collect'] = async (what, reading) => {
    const { value, fresh, failure } = await reading();
    return note(what, fresh && value !== null ? known(value) : { ok: false, why: failure });
  };

  return { read, collect };
};
