/** Processor use from /proc/stat, proc_stat(5): counters since boot, so that two samples make a share. Pure. */
import { percent } from '#shared/int';

/** Clock ticks of all processors together. */
export interface CpuSample {
  busy: number;
  total: number;
  /** Monotonic. */
  atMs: number;
}

/** `user` already holds `guest`, and `nice` holds `guest_nice`: only the first eight columns are added. Waiting for a drive is idle. */
export const parseCpu = (stat: string, atMs: number): CpuSample => {
  const columns = /^cpu +(\d[\d ]*)$/m.exec(stat)?.[1]?.trim().split(/ +/).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, idle, iowait = 0, irq = 0, softirq = 0, steal = 0] = columns;
  if (idle === undefined) throw new Error('no processor line in /proc/stat');
  const busy = user + nice + system + irq + softirq + steal;
  return { busy, total: busy + idle + iowait, atMs };
};

/** 0–100 with one decimal; null where no time has passed. `iowait` may run backwards, so a share is kept within its bounds. */
export const cpuPercent = (before: CpuSample, after: CpuSample): number | null =>
  percent(after.busy - before.busy, after.total - before.total);

const WINDOW_MS = 10_000;
const SHORTEST_MS = 500;

/** The sample to compare with: the one nearest to ten seconds old, never one too young to mean anything. */
export const baseline = (samples: readonly CpuSample[], nowMs: number): CpuSample | undefined => {
  const distance = ({ atMs }: CpuSample) => Math.abs(nowMs - atMs - WINDOW_MS);
  const usable = samples.filter(({ atMs }) => nowMs - atMs >= SHORTEST_MS);
  return usable.reduce<CpuSample | undefined>((best, one) => (best && distance(best) <= distance(one) ? best : one), undefined);
};

/** What is worth keeping: the last ten seconds and the one sample before them. */
export const recent = (samples: readonly CpuSample[], nowMs: number): CpuSample[] => {
  const firstInside = samples.findIndex(({ atMs }) => nowMs - atMs < WINDOW_MS);
  return firstInside < 0 ? samples.slice(-1) : samples.slice(Math.max(0, firstInside - 1));
};
