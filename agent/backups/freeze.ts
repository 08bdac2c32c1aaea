/**
 * How long a container stood still for its backup. vzdump freezes it for every snapshot, and says so only where there are several
 * volumes; nothing bounds how long (pve-container PVE/LXC/Config.pm). One that a killed backup left frozen is thawed.
 */
import type { Problems } from '#agent/health/problems';
import type { GuestCgroup } from '#agent/ports/guest-cgroup';
import type { Journal } from '#agent/ports/journal';
import { type Clock, sleep } from '#shared/clock';
import type { Audit } from './audit.ts';
import type { Job } from './jobs.ts';
import type { LogFacts } from './log.ts';
import type { Companion, Run } from './run.ts';

export interface FreezePorts {
  cgroup: Pick<GuestCgroup, 'frozen' | 'thaw'>;
  /** Whether another task works on this guest now. */
  isBusy: (vmid: number) => Promise<boolean>;
  problems: Pick<Problems, 'raise' | 'clear'>;
  audit: Audit;
  clock: Clock;
  journal: Journal;
}

const SAMPLE_MS = 100;
/** Where there is no such container it may not have been started yet. */
const ABSENT_MS = 1000;
const LONG_MS = 20_000;
/** Each change is told to whoever listens. */
const TOLD_MS = 500;
/** Frozen for so long after its task ended it is nobody's snapshot any more. */
const ABANDONED = { samples: 10, everyMs: 100 };

const seconds = (ms: number) => Math.round(ms / 1000);

export const createFreeze = ({ cgroup, isBusy, problems, audit, clock, journal }: FreezePorts) => {
  const isFrozen = (vmid: number) => cgroup.frozen(vmid).catch(() => null);

  const raise = ({ vmid, jobId }: Job, ms: number): void =>
    problems.raise({
      code: 'freeze-long',
      vmid,
      sentence: 'This guest stood still for a long time while a backup of it was begun.',
      evidence: ms > LONG_MS ? `${seconds(ms)} s, job ${jobId}` : `${seconds(LONG_MS)} s so far, job ${jobId}`,
      nextStep: 'Look for much unwritten data on slow or network drives of this guest at that hour, or move its schedule.',
    });

  /** Samples until the data is fixed and the guest goes on. */
  const watch: Companion = async (run: Run) => {
    const { vmid } = run.job();
    let total = 0;
    let since: number | null = null;
    let told = false;
    const note = (ms: number) => run.change({ frozenMs: Math.max(run.job().frozenMs ?? 0, ms) });
    while (!run.over.aborted && run.facts().guest !== 'qemu') {
      const frozen = await isFrozen(vmid);
      const now = clock.monotonic();
      if (frozen) since ??= now;
      else if (since !== null) {
        total += now - since;
        since = null;
        note(total);
      }
      // The moment that the data is fixed may be told before the next look, and what is held asks then how long it was.
      if (since !== null && now - since + total >= (run.job().frozenMs ?? 0) + TOLD_MS) note(total + now - since);
      if (since !== null && !told && now - since >= LONG_MS) {
        told = true;
        raise(run.job(), LONG_MS);
      }
      if (frozen !== true && run.facts().pointLine !== null) break;
      await sleep(clock, frozen === null ? ABSENT_MS : SAMPLE_MS, run.over);
    }
    if (since !== null) note(total + clock.monotonic() - since);
  };

  /** Its task is gone, so nobody thaws it any more. */
  const release = async ({ vmid, jobId, upid }: Job): Promise<void> => {
    for (let sample = 0; sample < ABANDONED.samples; sample += 1) {
      if ((await isFrozen(vmid)) !== true) return;
      await sleep(clock, ABANDONED.everyMs);
    }
    if (await isBusy(vmid)) return;
    journal('error', 'A backup left its guest frozen; it is thawed.', { job: jobId, vmid, upid });
    await audit('guest-thawed', { vmid, job: jobId, upid }).catch(() => {});
    await cgroup.thaw(vmid).catch((error: unknown) => {
      journal('error', 'A frozen guest could not be thawed.', { job: jobId, vmid, why: String(error) });
    });
  };

  /** A machine that is stopped for its backup is down on purpose. */
  const judge = (job: Job, facts: LogFacts): void => {
    const stoodStill = facts.guest === 'lxc' && facts.mode !== 'stop' ? (job.frozenMs ?? 0) : 0;
    if (stoodStill >= LONG_MS) raise(job, stoodStill);
    else if (job.state === 'done') problems.clear('freeze-long', job.vmid);
  };

  return { watch, release, judge };
};
