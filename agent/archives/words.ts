/** The problems that archives can have, in words. Pure. */
import type { NewProblem } from '#agent/health/problems';
import type { Archive } from './archive.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;

export const size = (bytes: number): string =>
  bytes >= GIB
    ? `${(bytes / GIB).toFixed(1)} GiB`
    : bytes >= MIB
      ? `${(bytes / MIB).toFixed(1)} MiB`
      : `${Math.round(bytes)} bytes`;

const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** At most three by name: evidence is read, not searched. */
const named = (archives: readonly Archive[]): string => {
  const first = archives.slice(0, 3).map(({ volid }) => volid);
  return archives.length > 3 ? `${first.join(', ')} and ${archives.length - 3} more` : first.join(', ');
};

export const damagedProblem = (vmid: number, archives: readonly Archive[]): NewProblem => ({
  code: 'archive-damaged',
  vmid,
  sentence:
    archives.length === 1
      ? 'A backup of this guest is damaged: it cannot be restored.'
      : `${archives.length} backups of this guest are damaged: they cannot be restored.`,
  evidence: `${named(archives)}: ${archives[0]?.verificationError ?? ''}`,
  nextStep: `The support should check the backup drive, and then make a new backup: felhom-agent backup run ${vmid}`,
});

export const lateProblem = (vmid: number, archives: readonly Archive[], why: string): NewProblem => ({
  code: 'verification-late',
  vmid,
  sentence: 'Backups of this guest have not been checked for a day or longer. They may be good, but nobody knows.',
  evidence: `Not checked: ${archives.length}, the oldest of ${dayOf(archives.at(-1)?.createdAt ?? 0)}${why === '' ? '' : `; ${why}`}`,
  nextStep: archives.some(({ format }) => format.startsWith('pbs-'))
    ? 'The support should set up a verify job on the Proxmox Backup Server, and see that it runs.'
    : 'The support should see whether the backup drive is fast enough, and what the log of felhom-agent says of verification.',
});

export const implausibleProblem = (vmid: number, missing: { sizeBytes: number; leastBytes: number }): NewProblem => ({
  code: 'archive-implausible',
  vmid,
  sentence: 'The newest backup of this guest is much smaller than those before it. Older backups are kept until that is clear.',
  evidence: `${size(missing.sizeBytes)}, where at least ${size(missing.leastBytes)} was expected`,
  nextStep: 'See whether data was deleted in the guest, or a volume is missing from its configuration on the host.',
});

export const stoppedProblem = (vmid: number, why: string): NewProblem => ({
  code: 'retention-stopped',
  vmid,
  sentence: 'Old backups of this guest are not cleared away at the moment. In time the backup drive will be full.',
  evidence: why,
  nextStep: `The support should see what keeps it: felhom-agent backup prune ${vmid} --dry-run`,
});
