/** The problem of a guest whose applications were not consistent in its newest backup. Pure. */
import type { NewProblem } from '#agent/health/problems';
import type { HeldApp } from '#shared/wire/backups';
import type { Job } from './jobs.ts';

type Facts = Pick<Job, 'jobId' | 'vmid' | 'source' | 'mode' | 'label' | 'consistencyPointAt' | 'intends' | 'heldApps'>;

/** At most so many by name: evidence is read, not searched. */
const NAMED = 5;

const whyNot = (claim: HeldApp | undefined): string => {
  if (claim === undefined) return 'not reported';
  return [...(claim.held ? [] : ['not held']), ...(claim.covered ? [] : ['not in the backup'])].join(' and ');
};

const listed = ({ intends, heldApps }: Facts): string => {
  const claims = intends.map((app) => ({ app, why: whyNot(heldApps?.find((claim) => claim.app === app)) }));
  const bad = claims.filter(({ why }) => why !== '');
  const names = bad.slice(0, NAMED).map(({ app, why }) => `${app} was ${why}`);
  return `${names.join(', ')}${bad.length > NAMED ? `, and ${bad.length - NAMED} more` : ''}`;
};

const evidenceOf = (job: Facts): string => {
  if (job.mode !== 'snapshot') return `the backup ran in mode ${job.mode ?? 'unknown'}`;
  if (job.consistencyPointAt === null) return "Proxmox's log does not say when the data was fixed";
  return listed(job);
};

/** Of a job that is done. `clear`: no longer a problem. Null: it tells nothing of the applications. */
export const appProblem = (job: Facts): NewProblem | 'clear' | null => {
  // Those of a guest that was down rested as well.
  if (job.label === 'app' || job.label === 'stopped') return 'clear';
  // What the guest did not take part in shows nothing; what it started without naming an application does.
  if (job.intends.length === 0) return job.source === 'schedule' || job.source === 'guest' ? 'clear' : null;
  return {
    code: 'app-not-consistent',
    vmid: job.vmid,
    sentence:
      'Applications of this guest were not at rest in its newest backup. Restored from it they start as after a power cut, and may need repair.',
    evidence: `${evidenceOf(job)}, job ${job.jobId}`,
    nextStep: 'See in the guest which application cannot be held, and why: felhom-controller quiesce test',
  };
};
