/** Deletes what retention does not keep: one archive after the other, by its volume id, and only when the newest backup is sound. */
import { auditEntry } from '#agent/audit';
import type { AgentConfig } from '#agent/config';
import type { Problems } from '#agent/health/problems';
import type { Journal } from '#agent/ports/journal';
import type { Proxmox } from '#agent/ports/proxmox';

import type { Clock } from '#shared/clock';
import type { Archive } from './archive.ts';
import type { Catalogue } from './catalogue.ts';
import { plausibility } from './plausible.ts';
import { type Decision, decideRetention, isOfFuture } from './retention.ts';
import { implausibleProblem, size, stoppedProblem } from './words.ts';

export interface PrunePorts {
  catalogue: Catalogue;
  proxmox: Pick<Proxmox, 'deleteVolume'>;
  clock: Clock;
  journal: Journal;
  problems: Pick<Problems, 'raise' | 'clear'>;
  settings: () => AgentConfig['backup'];
}

export interface PlanFacts {
  vmid: number;
  storage: string;
  /** Why nothing may be deleted; empty when the decisions count. */
  stopped: string;
  /** What the newest one lacks of a believable size. */
  implausible: { sizeBytes: number; leastBytes: number } | null;
  decisions: Decision[];
}

/** Who it was done for. */
export type Actor = 'agent' | 'root';

const isThere = (archives: readonly Archive[], made: { jobId: string; archive: string } | null): boolean =>
  made === null || archives.some(({ volid, jobId }) => (made.archive === '' ? jobId === made.jobId : volid === made.archive));

export const createPruner = ({ catalogue, proxmox, clock, journal, problems, settings }: PrunePorts) => {
  /** Over the table, which must be that of a listing just made. */
  const plan = async (vmid: number, storage: string): Promise<PlanFacts> => {
    const archives = (await catalogue.ofGuest(vmid)).filter((archive) => archive.storage === storage);
    const now = clock.now();
    const { missing } = plausibility(archives.filter((archive) => !isOfFuture(archive, now)));
    const lost = !isThere(archives, await catalogue.newestMade(vmid, storage));
    const reasons = [
      lost ? 'The archive of the newest backup is not in the storage.' : '',
      missing ? `The newest archive has only ${size(missing.sizeBytes)}; at least ${size(missing.leastBytes)} was expected.` : '',
    ];
    const stopped = reasons.filter(Boolean).join(' ');
    return { vmid, storage, stopped, implausible: missing, decisions: decideRetention(archives, settings().retention, now) };
  };

  const remove = async ({ archive, why }: Decision, who: Actor): Promise<void> => {
    const { volid, vmid, storage, sizeBytes } = archive;
    // Before the deed: what is gone was written down, whatever happens next.
    await catalogue.write(auditEntry(clock, who, 'archive-delete', { volid, vmid, size_bytes: sizeBytes, why }));
    await proxmox.deleteVolume(storage, volid);
    await catalogue.forget(volid);
    journal('info', 'An archive was deleted.', { volid, why });
  };

  /** Carries a plan out; answers what was deleted. The first refusal ends it: the next time starts from a new listing. */
  const carryOut = async ({ vmid, storage, stopped, implausible, decisions }: PlanFacts, who: Actor): Promise<string[]> => {
    if (implausible) problems.raise(implausibleProblem(vmid, implausible));
    else problems.clear('archive-implausible', vmid);
    if (stopped !== '') {
      if (!implausible) problems.raise(stoppedProblem(vmid, stopped));
      journal('warning', 'Retention deletes nothing.', { vmid, storage, why: stopped });
      return [];
    }
    const deleted: string[] = [];
    for (const decision of decisions.filter(({ keep }) => !keep).reverse()) {
      try {
        await remove(decision, who);
        deleted.push(decision.archive.volid);
      } catch (error) {
        problems.raise(stoppedProblem(vmid, `Proxmox did not delete ${decision.archive.volid}.`));
        journal('error', 'An archive could not be deleted.', { volid: decision.archive.volid, why: String(error) });
        return deleted;
      }
    }
    problems.clear('retention-stopped', vmid);
    return deleted;
  };

  return { plan, carryOut };
};
