/** Samples /proc/stat every few seconds, so that a question is answered from the last ten seconds without waiting for them. */
import { type Clock, sleep } from '#shared/clock';
import type { Proc } from '../ports/proc.ts';
import { baseline, type CpuSample, cpuPercent, parseCpu, recent } from './cpu.ts';

const EVERY_MS = 5_000;
/** How long the first question after a start waits for its second sample. */
const FIRST_WINDOW_MS = 600;

const share = (before: CpuSample, after: CpuSample): number => {
  const value = cpuPercent(before, after);
  if (value === null) throw new Error('/proc/stat does not move');
  return value;
};

export const createCpuSampler = ({ clock, proc }: { clock: Clock; proc: Pick<Proc, 'stat'> }) => {
  let samples: CpuSample[] = [];
  let cancel = () => {};
  let closed = false;

  const sample = async (): Promise<CpuSample> => {
    const taken = parseCpu(await proc.stat(), clock.monotonic());
    samples = [...recent(samples, taken.atMs), taken];
    return taken;
  };

  /** The next sample is only planned when this one has ended. */
  const tick = async () => {
    await sample().catch(() => {});
    if (!closed) cancel = clock.after(EVERY_MS, () => void tick());
  };
  void tick();

  /** 0–100. */
  const read = async (): Promise<number> => {
    const newest = await sample();
    const before = baseline(samples, newest.atMs);
    if (before !== undefined) return share(before, newest);
    await sleep(clock, FIRST_WINDOW_MS);
    return share(newest, await sample());
  };

  const close = () => {
    closed = true;
    cancel();
  };

  return { read, close };
};
