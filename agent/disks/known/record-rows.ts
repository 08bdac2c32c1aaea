/** Records of drives and assignments as rows of the database, and back. Pure. */
import type { Statement } from '../../ports/store.ts';
import type { Assignment, DriveMatch } from '../inventory/assignment.ts';
import type { DriveRecord, Owner } from '../inventory/drive.ts';

export interface DriveRow {
  id: number;
  name: string;
  model: string;
  serial: string;
  wwn: string;
  size_bytes: number | null;
  transport: string;
  first_seen_at: number;
  last_seen_at: number;
  role: 'system' | 'backup' | null;
  role_why: string;
  role_at: number | null;
  owner_vmid: number | null;
  owner_instance: string;
  owner_at: number | null;
  smart: string | null;
}

export interface AssignmentRow {
  mount_point: string;
  vmid: number;
  drive: number;
  uuid: string;
  fstype: Assignment['fstype'];
  options: string;
  link: string;
  match: string;
  state: Assignment['state'];
  created_at: number;
}

export const recordOf = (row: DriveRow, keys: readonly string[]): DriveRecord => ({
  id: row.id,
  name: row.name,
  model: row.model,
  serial: row.serial,
  wwn: row.wwn,
  sizeBytes: row.size_bytes,
  transport: row.transport,
  keys,
  firstSeenAt: row.first_seen_at,
  lastSeenAt: row.last_seen_at,
  role: row.role === null ? null : { role: row.role, why: row.role_why, since: row.role_at ?? 0 },
  owner: row.owner_vmid === null ? null : { vmid: row.owner_vmid, instance: row.owner_instance, since: row.owner_at ?? 0 },
});

export const assignmentOf = ({ mount_point, match, created_at, ...row }: AssignmentRow): Assignment => ({
  ...row,
  mountPoint: mount_point,
  match: JSON.parse(match) as DriveMatch,
  createdAt: created_at,
});

const keyRows = ({ id, keys }: DriveRecord): Statement[] =>
  keys.map((key) => ({ sql: 'INSERT OR IGNORE INTO drive_keys (key, drive) VALUES (?, ?)', values: [key, id] }));

export const insertDrive = (record: DriveRecord): Statement[] => {
  const { id, name, model, serial, wwn, sizeBytes, transport, firstSeenAt, lastSeenAt, role } = record;
  return [
    {
      sql: 'INSERT INTO drives (id, name, model, serial, wwn, size_bytes, transport, first_seen_at, last_seen_at, role, role_why, role_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      values: [
        ...[id, name, model, serial, wwn, sizeBytes, transport, firstSeenAt, lastSeenAt],
        ...[role?.role ?? null, role?.why ?? '', role?.since ?? null],
      ],
    },
    ...keyRows(record),
  ];
};

export const dropKeys = (id: number, keys: readonly string[]): Statement[] =>
  keys.map((key) => ({ sql: 'DELETE FROM drive_keys WHERE key = ? AND drive = ?', values: [key, id] }));

/** All but the owner and SMART, which have their own writers. */
export const updateDrive = (record: DriveRecord): Statement[] => {
  const { id, name, model, serial, wwn, sizeBytes, transport, lastSeenAt, role } = record;
  return [
    {
      sql: 'UPDATE drives SET name = ?, model = ?, serial = ?, wwn = ?, size_bytes = ?, transport = ?, last_seen_at = ?, role = ?, role_why = ?, role_at = ? WHERE id = ?',
      values: [
        ...[name, model, serial, wwn, sizeBytes, transport, lastSeenAt],
        ...[role?.role ?? null, role?.why ?? '', role?.since ?? null, id],
      ],
    },
    ...keyRows(record),
  ];
};

export const updateOwner = (id: number, owner: Owner | null): Statement => ({
  sql: 'UPDATE drives SET owner_vmid = ?, owner_instance = ?, owner_at = ? WHERE id = ?',
  values: [owner?.vmid ?? null, owner?.instance ?? '', owner?.since ?? null, id],
});

export const upsertAssignment = (assignment: Assignment): Statement => {
  const { mountPoint, vmid, drive, uuid, fstype, options, link, match, state, createdAt } = assignment;
  return {
    sql: 'INSERT OR REPLACE INTO assignments (mount_point, vmid, drive, uuid, fstype, options, link, match, state, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    values: [mountPoint, vmid, drive, uuid, fstype, options, link, JSON.stringify(match), state, createdAt],
  };
};
