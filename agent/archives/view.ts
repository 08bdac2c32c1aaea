/** Archives as the wire shows them. */
import { ageSeconds } from '#agent/collector';
import { timestamp } from '#shared/ids';
import { int } from '#shared/int';
import type { PrunePlan, RestoreAdvice, VerifyState } from '#shared/wire/admin-backups';
import type { Archives, ArchivesQuery, Archive as WireArchive } from '#shared/wire/archives';
import { type Archive, archiveName } from './archive.ts';
import type { PlanFacts } from './prune.ts';
import type { RestoreLines } from './restore.ts';

const PAGE = 100;
/** Proxmox bounds no note; a page of the longest must stay an answer. */
const NOTES_LENGTH = 256;
const HOUR_MS = 3_600_000;

const time = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));

const archiveView = (archive: Archive, now: number): WireArchive => ({
  volid: archive.volid,
  created_at: timestamp(archive.createdAt),
  age_seconds: Math.max(0, Math.round((now - archive.createdAt) / 1000)),
  size_bytes: int(archive.sizeBytes) ?? 0,
  label: archive.label,
  source: archive.source,
  protected: archive.protected,
  verification: archive.verification,
  verified_at: time(archive.verifiedAt),
  verification_error: archive.verificationError,
  proven_at: time(archive.provenAt),
  notes: archive.notes.slice(0, NOTES_LENGTH),
});

/** A page of what is given newest first. Where the last one of the page before is gone meanwhile, it begins anew. */
export const archivesView = (
  vmid: number,
  archives: readonly Archive[],
  { limit, after }: ArchivesQuery,
  { now, ageMs }: { now: number; ageMs: number | null },
): Archives => {
  const count = limit === undefined ? PAGE : Number(limit);
  const start = after === undefined ? 0 : archives.findIndex(({ volid }) => volid === after) + 1;
  const page = archives.slice(start, start + count);
  const isLast = start + count >= archives.length;
  return {
    vmid,
    backups: page.map((archive) => archiveView(archive, now)),
    next: isLast ? '' : (page.at(-1)?.volid ?? ''),
    age_seconds: ageSeconds(ageMs),
  };
};

export const planView = ({ vmid, stopped, decisions }: PlanFacts, deleted: string[]): PrunePlan => ({
  vmid,
  archives: decisions.map(({ archive, keep, why }) => ({
    volid: archive.volid,
    created_at: timestamp(archive.createdAt),
    size_bytes: int(archive.sizeBytes) ?? 0,
    source: archive.source,
    label: archive.label,
    verification: archive.verification,
    keep,
    why,
  })),
  stopped,
  deleted,
});

export const verifyView = (archive: Archive, running: boolean, hindrance: string): VerifyState => ({
  volid: archive.volid,
  running,
  verification: archive.verification,
  verified_at: time(archive.verifiedAt),
  error: archive.verificationError || hindrance,
});

/** What the archive itself gives reason to say. */
const doubts = ({ verification, label, createdAt, format }: Archive, now: number): string[] =>
  [
    verification === 'failed' ? 'This archive is DAMAGED: take another one if there is any.' : '',
    verification === 'pending' ? 'This archive was not checked yet: nobody knows whether it is whole.' : '',
    verification === 'unsupported' ? 'This archive cannot be checked on this host.' : '',
    label === 'crash' ? 'Its data is as after a power cut: databases repair themselves when they start, most of the time.' : '',
    now - createdAt > 48 * HOUR_MS
      ? `It is ${Math.floor((now - createdAt) / (24 * HOUR_MS))} days old: what came later is not in it.`
      : '',
    format === '' ? 'Its name is not one that Proxmox gives.' : '',
  ].filter(Boolean);

export const restoreView = (archive: Archive, { command, overwrites, warnings }: RestoreLines, now: number): RestoreAdvice => ({
  volid: archive.volid,
  vmid: archive.vmid,
  type: archiveName(archive.volid)?.guest ?? 'lxc',
  created_at: timestamp(archive.createdAt),
  size_bytes: int(archive.sizeBytes) ?? 0,
  label: archive.label,
  verification: archive.verification,
  verified_at: time(archive.verifiedAt),
  verification_error: archive.verificationError,
  protected: archive.protected,
  overwrites,
  warnings: [...doubts(archive, now), ...warnings],
  command,
});
