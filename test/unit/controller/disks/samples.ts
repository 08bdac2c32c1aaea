/** Drives as a guest sees them. */
import { driveDurableId } from '#shared/durable-id';
import type { Disk, Disks } from '#shared/wire/disks';
import type { FormatJob } from '#shared/wire/jobs';
import type { Op } from '#shared/wire/ops';

export const UUID = '6f9619ff-8b86-4d01-b42d-00cf4fc964ff';
export const DIGEST = '0123456789abcdefghjkmnpqrs';

/** A customer's own, with photos on it. */
export const disk = (change: Partial<Disk> = {}): Disk => ({
  name: 'sdb',
  type: 'disk',
  state: 'available',
  backing_device: '/dev/sdb',
  mount_path: '',
  guest_path: '',
  class: 'slow',
  role: 'user-data',
  role_reason: 'The host does not need it.',
  data_bearing: true,
  data_reason: 'It carries ext4 "photos" on sdb1.',
  total_bytes: 500_107_862_016,
  used_bytes: null,
  used_fraction: null,
  durable_id: `uuid:${UUID}`,
  model: 'Portable SSD T5',
  serial: 'S46XNX0M7K1D',
  fstype: 'ext4',
  label: 'photos',
  owner: 'yours',
  not_assignable: '',
  smart: { health: 'PASSED', temperature_c: 31, percentage_used: 2 },
  ...change,
});

export const idOf = (one: Disk, digest = DIGEST): string =>
  driveDurableId({ role: one.role, model: one.model, serial: one.serial, sizeBytes: one.total_bytes, digest });

/** Looks empty, and was not read to its end. */
export const emptyLooking = (change: Partial<Disk> = {}): Disk => {
  const one = disk({
    ...{ name: 'sdc', model: 'WDC WD40EFRX-68N', serial: 'WD-WCC7K4ABCD', fstype: '', label: '', owner: 'free' },
    data_reason: 'It looks empty, but it has not been read to its end yet: 12 % so far.',
    not_assignable: 'It holds no file system that felhom can mount.',
    ...change,
  });
  return { ...one, durable_id: change.durable_id ?? idOf(one, 'z'.repeat(26)) };
};

export const backupDrive = (change: Partial<Disk> = {}): Disk => {
  const one = disk({
    ...{ name: 'sdd', role: 'backup', owner: '', model: 'Elements 25A2', serial: 'WX12A3456789', fstype: '', label: '' },
    ...{
      role_reason: 'The backups of this server are kept on it.',
      not_assignable: 'The backups of this server are kept on it.',
    },
    state: 'in-use',
    ...change,
  });
  return { ...one, durable_id: change.durable_id ?? idOf(one, 'y'.repeat(26)) };
};

export const listing = (...disks: Disk[]): Disks => ({ vmid: 101, disks, reason: '', age_seconds: 1, mount_root: '/mnt/felhom' });

export const formatJob = (change: Partial<FormatJob> = {}): FormatJob => ({
  job_id: 'fmt-1',
  type: 'format',
  vmid: 101,
  device: 'sdc',
  model: 'WDC WD40EFRX-68N',
  serial: 'WD-WCC7K4ABCD',
  size_bytes: 500_107_862_016,
  fstype: 'ext4',
  state: 'running',
  phase: 'wiping',
  permitted_by: 'confirmed',
  op_id: '',
  started_at: '2026-03-01T04:00:00Z',
  finished_at: null,
  durable_id: '',
  error: '',
  ...change,
});

export const doneJob = (change: Partial<FormatJob> = {}): FormatJob =>
  formatJob({ state: 'done', phase: 'done', finished_at: '2026-03-01T04:01:00Z', durable_id: `uuid:${UUID}`, ...change });

export const HOST = 'pve1-k3v7q2m5xw8r4t6y9zbc';

export const pendingOp = (change: object = {}) => ({
  id: 'op-7h2k9m4x0abc',
  op: 'storage_wipe' as const,
  host_scope: HOST,
  durable_id: idOf(backupDrive()),
  fstype: 'ext4',
  ...change,
});

export const waitingOp = (change: Partial<Op> = {}): Op => ({
  ...pendingOp(),
  ...{ vmid: 101, device: 'sdd', role: 'backup', model: 'Elements 25A2', serial: 'WX12A3456789', size_bytes: 500_107_862_016 },
  ...{ state: 'open', reason: '', created_at: '2026-03-01T04:00:00Z', expires_at: '2026-03-02T04:00:00Z', job_id: '' },
  sign_command: '',
  ...change,
});
