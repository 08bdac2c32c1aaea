/** One guest of a job: whether it may be backed up at all, its case, and its run. */

import { join } from 'node:path';
import type { Guest, Storage } from '../world.ts';
import { type GuestCase, guestName, readCase, type Target, targetKind } from './case.ts';
import { nameStamp, stamp, utcStamp } from './format.ts';
import { effectiveRetention, type Job, renderNotes } from './job.ts';
import { playGuest } from './play.ts';
import { parseRetention } from './prune.ts';
import type { Run } from './run.ts';

/** On these vzdump keeps its temporary files beside the archive and says nothing (PVE/VZDump.pm). */
const POSIX = ['ext3', 'ext4', 'nfs', 'nfs4', 'reiserfs', 'xfs', 'btrfs', 'zfs'];

const targetOf = (storage: Storage, guest: Guest, job: Job, now: number): Target => {
  const kind = targetKind(storage);
  const snapshotName = `${guest.type === 'lxc' ? 'ct' : 'vm'}/${guest.vmid}/${utcStamp(now)}`;
  if (kind === 'pbs') return { kind, name: snapshotName };
  if (kind === 'provider') return { kind, provider: String(storage.config['backup-provider']), name: snapshotName };
  const suffix = { zstd: '.zst', gzip: '.gz', none: '' }[job.compression];
  const name = `vzdump-${guest.type}-${guest.vmid}-${nameStamp(now)}.${guest.type === 'lxc' ? 'tar' : 'vma'}${suffix}`;
  return { kind, directory: join(String(storage.config.path ?? `/mnt/pve/${storage.storage}`), 'dump'), name };
};

const caseOf = (run: Run, storage: Storage, guest: Guest, now: number): GuestCase => {
  const { job, world, task, faults } = run;
  const target = targetOf(storage, guest, job, now);
  const fstype = run.dumpdirFilesystem ?? 'overlay';
  const odd = target.kind === 'file' && guest.type === 'lxc' && !POSIX.includes(fstype);
  const beside = target.kind === 'file' ? join(target.directory, target.name.replace(/\.(tar|vma).*$/, '.tmp')) : '';
  const { retention, remove } = effectiveRetention(job, parseRetention(storage.config['prune-backups']));
  const c = readCase(world, guest, {
    mode: job.mode,
    target,
    tmpDir: odd || beside === '' ? `/var/tmp/vzdumptmp${task.task.pid}_${guest.vmid}` : beside,
    oddFilesystem: odd ? fstype : undefined,
    bwlimit: job.bwlimit,
    ionice: job.ionice,
    notes: job.notesTemplate !== '',
    protect: job.protect,
    retention: remove ? retention : undefined,
  });
  return faults.suspend === true && guest.type === 'lxc' ? { ...c, snapshots: false } : c;
};

/** Refused before anything is touched: full storages by count, and too many protected archives. */
const limitError = ({ job, who }: Run, storage: Storage, guest: Guest): string | undefined => {
  const { retention, remove } = effectiveRetention(job, parseRetention(storage.config['prune-backups']));
  const own = storage.archives.filter((a) => a.vmid === guest.vmid && a.subtype === guest.type);
  if (job.protect) {
    const unlimited = who.may(`/storage/${storage.storage}`, 'Datastore.Allocate') ? -1 : 5;
    const limit = Number(storage.config['max-protected-backups'] ?? unlimited);
    if (limit < 0 || own.filter((a) => a.protected).length < limit) return undefined;
    return `The number of protected backups per guest is limited to ${limit} on storage '${storage.storage}'`;
  }
  const { 'keep-all': _all, ...counted } = retention;
  const limit = Object.values(counted).reduce((a, b) => a + b, 0);
  if (remove || limit === 0 || own.filter((a) => !a.protected).length < limit) return undefined;
  const why = 'enforced by the target storage or the vzdump parameters. Either increase the limit or delete old backups.';
  return `There is a max backup limit of ${limit} ${why}`;
};

const refuseGuest = async ({ voice, clock }: Run, vmid: number, why: string): Promise<false> => {
  await voice.say(`ERROR: Backup of VM ${vmid} failed - ${why}`);
  await voice.say(`INFO: Failed at ${stamp(clock())}`);
  return false;
};

/** False when the guest failed; the job goes on. */
export const backUp = async (run: Run, storage: Storage, vmid: number): Promise<boolean> => {
  const { world, job, clock, faults, voice, task } = run;
  const guest = world.guests.get(vmid);
  if (!guest) return refuseGuest(run, vmid, `unable to find VM '${vmid}'`);
  const limit = limitError(run, storage, guest);
  if (limit !== undefined) return refuseGuest(run, vmid, limit);
  const startedAt = clock();
  const c = caseOf(run, storage, guest, startedAt);
  const guestname = guestName(guest) ?? `${guest.type === 'lxc' ? 'CT' : 'VM '}${vmid}`;
  const values = { cluster: 'standalone node', guestname, node: world.node, vmid: String(vmid) };
  const notes = (): string => renderNotes(job.notesTemplate, values);
  return playGuest({
    c,
    guest,
    storage,
    compression: job.compression,
    notes,
    startedAt,
    clock,
    faults,
    voice,
    signal: task.signal,
    saved: run.saved ?? (() => undefined),
  });
};
