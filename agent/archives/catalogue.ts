/** The table of archives: what the storage's listing showed last, with what the agent knows of each. */
import type { BackupVolume } from '#agent/ports/proxmox';
import type { SqlValue, Statement, Store } from '#agent/ports/store';
import { type Archive, archiveName, isCheckable, isVerifiedElsewhere } from './archive.ts';
import { newestFirst } from './retention.ts';

interface JobRow {
  job_id: string;
  source: Archive['source'];
  label: Archive['label'] | null;
  storage: string;
  archive: string;
  size_bytes: number | null;
  verified_at: number | null;
  proven_at: number | null;
}

interface ArchiveRow {
  volid: string;
  vmid: number;
  storage: string;
  job_id: string | null;
  source: Archive['source'];
  label: Archive['label'];
  created_at: number;
  size_bytes: number;
  protected: number;
  notes: string;
  verification: Archive['verification'];
  verified_at: number | null;
  verification_error: string;
  proven_at: number | null;
}

/** What agent/backups writes into the notes; somebody may have added words. */
const NOTE = /(?:^|\s)felhom job ([0-9a-f-]{36})(?: host (\S+))?(?:\s|$)/;

/** A job's label may be made better or worse after its end: the job's own counts. */
const SELECT = `
  SELECT a.volid, a.vmid, a.storage, a.job_id, a.source, COALESCE(j.label, a.label) AS label, a.created_at, a.size_bytes,
         a.protected, a.notes, a.verification, a.verified_at, a.verification_error, COALESCE(a.proven_at, j.proven_at) AS proven_at
  FROM archives a LEFT JOIN backup_jobs j ON j.job_id = a.job_id`;

/** The file under a name is another one when its size changed: what was known of it does not hold. */
const UPSERT = `
  INSERT INTO archives (volid, vmid, storage, job_id, source, label, created_at, size_bytes, protected, notes, verification, verified_at, proven_at)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (volid) DO UPDATE SET
    vmid = excluded.vmid, storage = excluded.storage, job_id = excluded.job_id, source = excluded.source, label = excluded.label,
    created_at = excluded.created_at, size_bytes = excluded.size_bytes, protected = excluded.protected, notes = excluded.notes`;
const KEEP_VERDICT = `,
    verification = CASE WHEN size_bytes = excluded.size_bytes THEN verification ELSE excluded.verification END,
    verified_at = CASE WHEN size_bytes = excluded.size_bytes THEN verified_at ELSE excluded.verified_at END,
    verification_error = CASE WHEN size_bytes = excluded.size_bytes THEN verification_error ELSE '' END`;
const TAKE_VERDICT = `,
    verification = excluded.verification, verification_error = '',
    verified_at = CASE WHEN excluded.verification = verification THEN COALESCE(verified_at, excluded.verified_at) ELSE excluded.verified_at END`;

const archiveOf = (row: ArchiveRow): Archive => ({
  volid: row.volid,
  vmid: row.vmid,
  storage: row.storage,
  jobId: row.job_id,
  source: row.source,
  label: row.label,
  createdAt: row.created_at,
  sizeBytes: row.size_bytes,
  protected: row.protected !== 0,
  notes: row.notes,
  format: archiveName(row.volid)?.format ?? '',
  verification: row.verification,
  verifiedAt: row.verified_at,
  verificationError: row.verification_error,
  provenAt: row.proven_at,
});

/** The job that made an archive: the one that names it, or that its note names. A note of a job that is not known must name this host. */
const jobOf = (
  volume: BackupVolume,
  jobs: readonly JobRow[],
  hostId: string,
): Pick<Archive, 'jobId' | 'source'> & { row: JobRow | undefined } => {
  const [, noted, host] = NOTE.exec(volume.notes) ?? [];
  const row = jobs.find(({ archive }) => archive === volume.volid) ?? jobs.find(({ job_id }) => job_id === noted);
  return { jobId: row?.job_id ?? (host === hostId ? noted : null) ?? null, source: row?.source ?? 'unknown', row };
};

/** Verified once and gone for a while, as with a drive that was unplugged: it need not be read again. */
const firstVerdict = (
  volume: BackupVolume,
  job: JobRow | undefined,
  now: number,
): Pick<Archive, 'verification' | 'verifiedAt'> => {
  const format = archiveName(volume.volid)?.format ?? '';
  if (isVerifiedElsewhere(format))
    return { verification: volume.verification ?? 'pending', verifiedAt: volume.verification ? now : null };
  if (!isCheckable(format)) return { verification: 'unsupported', verifiedAt: null };
  const isSame = job?.verified_at != null && job.archive === volume.volid && job.size_bytes === volume.sizeBytes;
  return isSame ? { verification: 'ok', verifiedAt: job.verified_at } : { verification: 'pending', verifiedAt: null };
};

export type Catalogue = ReturnType<typeof createCatalogue>;

export const createCatalogue = (store: Store, hostId: string) => {
  const select = async (rest: string, ...values: SqlValue[]): Promise<Archive[]> =>
    (await store.all<ArchiveRow>(`${SELECT} ${rest}`, values)).map(archiveOf).sort(newestFirst);

  const upsert = (storage: string, vmid: number, volume: BackupVolume, jobs: readonly JobRow[], now: number): Statement => {
    const { jobId, source, row } = jobOf(volume, jobs, hostId);
    const { verification, verifiedAt } = firstVerdict(volume, row, now);
    const isElsewhere = isVerifiedElsewhere(archiveName(volume.volid)?.format ?? '');
    return {
      sql: UPSERT + (isElsewhere ? TAKE_VERDICT : KEEP_VERDICT),
      values: [
        ...[volume.volid, vmid, storage, jobId, source, row?.label ?? 'crash', volume.ctime * 1000, volume.sizeBytes],
        ...[volume.protected ? 1 : 0, volume.notes, verification, verifiedAt, row?.proven_at ?? null],
      ],
    };
  };

  return {
    /** Takes over a listing that succeeded: what it does not show any more is forgotten. */
    reconcile: async (storage: string, vmid: number, volumes: readonly BackupVolume[], now: number): Promise<void> => {
      const jobs = await store.all<JobRow>(
        'SELECT job_id, source, label, storage, archive, size_bytes, verified_at, proven_at FROM backup_jobs WHERE vmid = ? ORDER BY rowid DESC',
        [vmid],
      );
      const own = volumes.filter((volume) => volume.vmid === null || volume.vmid === vmid);
      await store.write(
        {
          sql: 'DELETE FROM archives WHERE storage = ? AND vmid = ? AND volid NOT IN (SELECT value FROM json_each(?))',
          values: [storage, vmid, JSON.stringify(own.map(({ volid }) => volid))],
        },
        ...own.map((volume) => upsert(storage, vmid, volume, jobs, now)),
      );
    },
    /** Newest first. */
    ofGuest: (vmid: number): Promise<Archive[]> => select('WHERE a.vmid = ?', vmid),
    one: async (volid: string): Promise<Archive | null> => (await select('WHERE a.volid = ?', volid))[0] ?? null,
    /** Made by felhom, and not yet read by anybody; newest first. */
    pending: (): Promise<Archive[]> =>
      select("WHERE a.verification = 'pending' AND a.job_id IS NOT NULL AND a.source <> 'proxmox'"),
    damaged: (): Promise<Archive[]> => select("WHERE a.verification = 'failed'"),
    /** The archive that the newest good backup of a storage left, as far as its job knows; empty when nobody knows. */
    newestMade: async (vmid: number, storage: string): Promise<{ jobId: string; archive: string } | null> => {
      const [row] = await store.all<Pick<JobRow, 'job_id' | 'archive'>>(
        "SELECT job_id, archive FROM backup_jobs WHERE vmid = ? AND storage = ? AND state = 'done' AND source <> 'proxmox' ORDER BY rowid DESC LIMIT 1",
        [vmid, storage],
      );
      return row === undefined ? null : { jobId: row.job_id, archive: row.archive };
    },
    /** Kept with the job too, which outlives the listing. */
    setVerdict: async (
      archive: Archive,
      verdict: Pick<Archive, 'verification' | 'verifiedAt' | 'verificationError'>,
    ): Promise<void> => {
      const { verification, verifiedAt, verificationError } = verdict;
      await store.write(
        {
          sql: 'UPDATE archives SET verification = ?, verified_at = ?, verification_error = ? WHERE volid = ? AND size_bytes = ?',
          values: [verification, verifiedAt, verificationError, archive.volid, archive.sizeBytes],
        },
        {
          sql: 'UPDATE backup_jobs SET verified_at = ? WHERE job_id = ? AND archive = ?',
          values: [verification === 'ok' ? verifiedAt : null, archive.jobId, archive.volid],
        },
      );
    },
    setProtected: async (volid: string, on: boolean, audit: Statement): Promise<void> => {
      await store.write({ sql: 'UPDATE archives SET protected = ? WHERE volid = ?', values: [on ? 1 : 0, volid] }, audit);
    },
    forget: async (volid: string): Promise<void> => {
      await store.write({ sql: 'DELETE FROM archives WHERE volid = ?', values: [volid] });
    },
    write: async (...statements: Statement[]): Promise<void> => {
      await store.write(...statements);
    },
  };
};
