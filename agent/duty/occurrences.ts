/** Proxmox's own list of a schedule's next moments, kept in the database so that scheduling goes on while Proxmox is away. */
import { SKEW_MS } from '#agent/believed';
import type { Journal } from '#agent/ports/journal';
import type { LocalTime } from '#agent/ports/local-time';
import { type Proxmox, ProxmoxError } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import type { Clock } from '#shared/clock';
import { isUtc, merged, withSkipped } from './moments.ts';

export interface OccurrencePorts {
  store: Pick<Store, 'all' | 'write'>;
  proxmox: Pick<Proxmox, 'analyzeSchedule' | 'timezone'>;
  clock: Clock;
  journal: Journal;
  localTime: Pick<LocalTime, 'inZone'>;
  /** How long after a moment this host acts on it. */
  delayMs: number;
}

interface Kept {
  askedAt: number;
  zone: string;
  /** Ascending, as Proxmox named them; also the newest of those past. */
  moments: readonly number[];
  /** When this host acts on them. */
  delayed: readonly number[];
}

/** `rejected`: in Proxmox's words. `away`: since when it could not be asked, by the monotonic clock. */
export type Trouble = { kind: 'rejected' | 'never'; words: string } | { kind: 'away'; words: string; since: number } | null;

export type Occurrences = ReturnType<typeof createOccurrences>;

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** Past moments that stay, for what was missed. */
const PAST = 100;
const ZONE_RETRY_MS = 10 * MINUTE_MS;
const RETRY_MS = { first: MINUTE_MS, most: HOUR_MS };

export const createOccurrences = ({ store, proxmox, clock, journal, localTime, delayMs }: OccurrencePorts) => {
  const kept = new Map<string, Kept>();
  const troubles = new Map<string, NonNullable<Trouble>>();
  /** By the monotonic clock. */
  const retryAt = new Map<string, { at: number; waitMs: number }>();
  let zone: string | null = null;
  /** By the monotonic clock. */
  let zoneDueAt = Number.NEGATIVE_INFINITY;

  const keep = (schedule: string, { askedAt, zone: name, moments }: Omit<Kept, 'delayed'>): void =>
    void kept.set(schedule, { askedAt, zone: name, moments, delayed: moments.map((at) => at + delayMs) });

  const read = async (): Promise<void> => {
    type Row = { schedule: string; asked_at: number; timezone: string; occurrences: string };
    for (const row of await store.all<Row>('SELECT schedule, asked_at, timezone, occurrences FROM schedules'))
      keep(row.schedule, { askedAt: row.asked_at, zone: row.timezone, moments: JSON.parse(row.occurrences) as number[] });
  };
  let loading: Promise<void> | null = null;
  /** What was kept over a restart; read once, and again where that failed. */
  const load = (): Promise<void> => {
    loading ??= read().catch((error: unknown) => {
      loading = null;
      throw error;
    });
    return loading;
  };

  /** Once an hour: the host's zone may be changed at any time. */
  const lookAtZone = async (): Promise<void> => {
    if (clock.monotonic() < zoneDueAt) return;
    zoneDueAt = clock.monotonic() + ZONE_RETRY_MS;
    zone = await proxmox.timezone();
    zoneDueAt = clock.monotonic() + HOUR_MS;
  };

  const isStale = (schedule: string): boolean => {
    const known = kept.get(schedule);
    if (known === undefined) return true;
    const now = clock.now();
    const ahead = known.delayed.filter((at) => at > known.askedAt);
    const half = ahead[Math.floor(ahead.length / 2)];
    return (
      now < known.askedAt - SKEW_MS ||
      now - known.askedAt >= DAY_MS ||
      (half !== undefined && now >= half) ||
      (zone !== null && zone !== known.zone)
    );
  };

  const ask = async (schedule: string): Promise<void> => {
    zone ??= await proxmox.timezone();
    const name = zone;
    const now = clock.now();
    const before = kept.get(schedule);
    // Moments not yet acted on are still to come. In another zone, what the guest missed by the change is to be seen.
    const ahead = now - delayMs;
    const from = ahead - (before !== undefined && before.zone !== name ? DAY_MS : 0);
    const moments = await named(schedule, name, from);
    // A frequent schedule's hundred of that day are over before today's begin.
    const over = from < ahead && (moments.at(-1) ?? ahead) < ahead;
    if (over) moments.push(...(await named(schedule, name, ahead)));
    const all = merged(before?.moments ?? [], moments, from, PAST);
    keep(schedule, { askedAt: now, zone: name, moments: all });
    await store.write({
      sql: 'INSERT OR REPLACE INTO schedules (schedule, asked_at, timezone, occurrences) VALUES (?, ?, ?, ?)',
      values: [schedule, now, name, JSON.stringify(all)],
    });
  };

  const named = async (schedule: string, name: string, from: number): Promise<number[]> => {
    const local = (await proxmox.analyzeSchedule(schedule, Math.floor(from / 1000))).map((at) => at * 1000);
    return completed(schedule, name, from, local);
  };

  /** A second question that fails leaves the first answer as it is. */
  const completed = async (schedule: string, name: string, from: number, local: number[]): Promise<number[]> => {
    const offsetAt = localTime.inZone(name);
    if (isUtc(schedule) || offsetAt === null) return local;
    try {
      const wall = Math.floor((from + offsetAt(from)) / 1000);
      const walls = (await proxmox.analyzeSchedule(`${schedule} UTC`, wall)).map((at) => at * 1000);
      return withSkipped(local, walls, offsetAt);
    } catch (error) {
      journal('warning', 'Times that the clocks skip could not be looked for in a schedule.', { schedule, why: String(error) });
      return local;
    }
  };

  const note = (schedule: string, error: unknown): void => {
    const words = error instanceof Error ? error.message : String(error);
    const before = troubles.get(schedule);
    if (before === undefined) journal('warning', 'A schedule could not be asked of Proxmox.', { schedule, why: words });
    const rejected = error instanceof ProxmoxError && error.status === 400;
    const since = before?.kind === 'away' ? before.since : clock.monotonic();
    troubles.set(schedule, rejected ? { kind: 'rejected', words } : { kind: 'away', words, since });
    const waitMs = Math.min(RETRY_MS.most, (retryAt.get(schedule)?.waitMs ?? RETRY_MS.first / 2) * 2);
    retryAt.set(schedule, { at: clock.monotonic() + waitMs, waitMs });
  };

  const refreshOne = async (schedule: string): Promise<void> => {
    try {
      await ask(schedule);
      troubles.delete(schedule);
      retryAt.delete(schedule);
    } catch (error) {
      note(schedule, error);
    }
  };

  /** Asks Proxmox where the list is missing, old, half used up, of another zone, or of a time that has not come yet. Never rejects. */
  const refresh = async (schedules: readonly string[]): Promise<void> => {
    try {
      await load();
      await lookAtZone();
    } catch (error) {
      journal('warning', 'Schedules could not be looked after.', { why: String(error) });
    }
    for (const schedule of new Set(schedules)) {
      const retry = retryAt.get(schedule);
      if (isStale(schedule) && (retry === undefined || clock.monotonic() >= retry.at)) await refreshOne(schedule);
    }
  };

  return {
    load,
    refresh,
    /** Null: never known. */
    of: (schedule: string): Pick<Kept, 'moments' | 'delayed' | 'zone'> | null => kept.get(schedule) ?? null,
    trouble: (schedule: string): Trouble => {
      const trouble = troubles.get(schedule);
      if (trouble !== undefined) return trouble;
      const known = kept.get(schedule);
      const ended = known !== undefined && !known.moments.some((at) => at > known.askedAt - delayMs);
      return ended ? { kind: 'never', words: 'no moment to come' } : null;
    },
  };
};
