/** How far a container's backup is: tar tells nothing before its end, so the archive's file is compared with the last archive. */
import type { Proxmox } from '#agent/ports/proxmox';
import { type Clock, sleep } from '#shared/clock';
import { dumpDirOf, unfinishedName } from './dump-dir.ts';
import type { Job } from './jobs.ts';
import type { LogFacts } from './log.ts';
import type { Companion } from './run.ts';

export interface EstimatePorts {
  proxmox: Pick<Proxmox, 'storageConfigs'>;
  /** Bytes of a file; null when there is none. */
  fileSize: (path: string) => Promise<number | null>;
  clock: Clock;
  /** Whether somebody follows this guest's backup just now. */
  isAwaited: (vmid: number) => boolean;
  /** Bytes of its last good archive; null when there is none. */
  lastSize: (vmid: number) => Promise<number | null>;
}

const LOOK_MS = 5000;
/** It may still become larger than the last one. */
const MOST = 0.99;

export const createEstimate = ({ proxmox, fileSize, clock, isAwaited, lastSize }: EstimatePorts): Companion => {
  const isWanted = (job: Job, facts: LogFacts): boolean => facts.guest === 'lxc' && facts.archive !== '' && isAwaited(job.vmid);

  const guess = async (job: Job, directory: string, archive: string): Promise<Partial<Job> | null> => {
    const last = await lastSize(job.vmid);
    const size = last ? await fileSize(`${directory}/${unfinishedName(archive)}`) : null;
    if (!last || size === null) return null;
    const progress = Math.min(MOST, size / last);
    const elapsedMs = clock.now() - (job.consistencyPointAt ?? clock.now());
    const etaSeconds = progress > 0 && progress < MOST ? Math.round((elapsedMs * (1 - progress)) / progress / 1000) : null;
    return { progress, etaSeconds, progressEstimated: true };
  };

  return async (run) => {
    let directory: string | null | undefined;
    for (; !run.over.aborted && run.facts().guest !== 'qemu'; await sleep(clock, LOOK_MS, run.over)) {
      if (!isWanted(run.job(), run.facts())) continue;
      try {
        directory ??= dumpDirOf(await proxmox.storageConfigs(), run.job().storage);
        if (directory === null) return;
        const change = await guess(run.job(), directory, run.facts().archive);
        if (change && !run.over.aborted) run.change(change);
      } catch {
        // An estimate is worth no sentence.
      }
    }
  };
};
