/** What the database keeps of drives, as every reader finds it: in memory, and durable before it is acted upon. */
import type { Clock } from '#shared/clock';
import { auditEntry } from '../../audit.ts';
import type { Statement, Store } from '../../ports/store.ts';
import { createTurn } from '../../turn.ts';
import type { Assignment } from '../inventory/assignment.ts';
import type { DriveRecord, Inventory, Owner } from '../inventory/drive.ts';
import { formerName, isFormer } from '../inventory/former.ts';
import { isHardwareKey, takenKey } from '../inventory/identity.ts';
import {
  type AssignmentRow,
  assignmentOf,
  type DriveRow,
  dropKeys,
  insertDrive,
  recordOf,
  updateDrive,
  updateOwner,
  upsertAssignment,
} from './record-rows.ts';
import { newsOf } from './remember.ts';

/** In whose name a record is changed, for the audit. */
export type Who = 'root' | 'agent' | `guest ${number}`;

/** Whatever changes something resolves when it is durable, and rejects (`StoreError`) with nothing changed. */
export interface Records {
  /** Every drive ever seen. */
  drives(): readonly DriveRecord[];
  assignments(): readonly Assignment[];
  /** Remembers what an inventory shows: new drives, new keys, newly lasting roles. Writes nothing where nothing is new. */
  note(inventory: Inventory): Promise<void>;
  /** Null: nobody's. */
  setOwner(drive: number, owner: Owner | null, who: Who): Promise<void>;
  /** Forgets the remembered role. */
  demote(drive: number): Promise<void>;
  /**
   * A drive was formatted: it begins anew, as its owner's and without a role. What was on it keeps its role, its owner and its keys in a
   * record of its own, for copies of it. `along` is written with it, all or nothing.
   */
  reborn(drive: number, birth: Birth, along: readonly Statement[]): Promise<void>;
  /** Gives a role that is not remembered yet to what it was known as; `along` is written with it, all or nothing. */
  remember(drive: number, role: { role: 'system' | 'backup'; why: string } | null, along: readonly Statement[]): Promise<void>;
  /** Adds a row, or replaces the one of the same mount point; the drive's record knows from then on that this file system was taken. */
  saveAssignment(assignment: Assignment): Promise<void>;
  setAssignmentState(mountPoint: string, state: Assignment['state']): Promise<void>;
  removeAssignment(mountPoint: string): Promise<void>;
  /** The newest whole reading of a drive's own health, as JSON. */
  saveSmart(drive: number, json: string): Promise<void>;
  smart(): ReadonlyMap<number, string>;
}

export interface Birth {
  owner: Owner;
  /** All that its record had before the format: what is not the hardware's stays with what was on it. */
  keysBefore: readonly string[];
  /** Of what is on it now. */
  keysNow: readonly string[];
}

export interface RecordPorts {
  store: Pick<Store, 'all' | 'write'>;
  clock: Clock;
}

/** A drive that nobody owns, that has no role and that was not seen for so long is forgotten: whoever plugs in sticks does not fill the database. */
const REMEMBER_MS = 400 * 86_400_000;

/** One whose format is not known to have ended is needed for its end, whatever the clock says. */
const forgetOld = (now: number): Statement => ({
  sql: `DELETE FROM drives WHERE role IS NULL AND owner_vmid IS NULL AND last_seen_at < ? AND id NOT IN (SELECT drive FROM assignments)
    AND id NOT IN (SELECT drive FROM formats WHERE state = 'running')`,
  values: [now - REMEMBER_MS],
});

/** `former`: null where nothing was on it that a copy could be known by. */
const bornAnew = (
  record: DriveRecord,
  { owner, keysBefore, keysNow }: Birth,
  id: number,
  now: number,
): { former: DriveRecord | null; drive: DriveRecord } => {
  const hardware = record.keys.filter(isHardwareKey);
  const content = record.keys.filter((key) => !isHardwareKey(key) && keysBefore.includes(key));
  // What was seen of it while it was being formatted is of what is on it now.
  const since = record.keys.filter((key) => !keysBefore.includes(key));
  const keys = [...new Set([...hardware, ...since, ...keysNow])];
  const born = { ...record, keys, role: null, owner, firstSeenAt: now, lastSeenAt: now };
  if (content.length === 0) return { former: null, drive: { ...born, firstSeenAt: record.firstSeenAt } };
  return {
    former: { ...record, name: formerName(record.id), serial: '', wwn: '', keys: content },
    drive: { ...born, id },
  };
};

const load = async ({ store, clock }: RecordPorts) => {
  await store.write(forgetOld(clock.now()));
  const keys = new Map<number, string[]>();
  for (const { key, drive } of await store.all<{ key: string; drive: number }>(
    'SELECT key, drive FROM drive_keys ORDER BY drive, key',
  )) {
    keys.set(drive, [...(keys.get(drive) ?? []), key]);
  }
  const rows = await store.all<DriveRow>('SELECT * FROM drives ORDER BY id');
  const assignments = await store.all<AssignmentRow>('SELECT * FROM assignments ORDER BY mount_point');
  return {
    drives: new Map(rows.map((row) => [row.id, recordOf(row, keys.get(row.id) ?? [])])),
    smart: new Map(rows.flatMap(({ id, smart }) => (smart === null ? [] : [[id, smart] as const]))),
    assignments: new Map(assignments.map((row) => [row.mount_point, assignmentOf(row)])),
  };
};

/** Formats of a guest's own drive, again and again, do not fill the database, and make nobody forget what was another's. */
const MOST_FORMERS = 64;

/** Of those that belonged to the same guest, or to nobody. */
const spareFormers = (drives: Iterable<DriveRecord>, { owner }: DriveRecord): DriveRecord[] =>
  [...drives].filter((one) => isFormer(one) && one.role === null && one.owner?.vmid === owner?.vmid).slice(0, -MOST_FORMERS);

const moveSmart = (from: number, to: number): Statement[] => [
  { sql: 'UPDATE drives SET smart = (SELECT smart FROM drives WHERE id = ?) WHERE id = ?', values: [from, to] },
  { sql: 'UPDATE drives SET smart = NULL WHERE id = ?', values: [from] },
];

export const loadRecords = async (ports: RecordPorts): Promise<Records> => {
  const { store, clock } = ports;
  const { drives, smart, assignments } = await load(ports);
  const inTurn = createTurn();

  const known = (id: number): DriveRecord => {
    const record = drives.get(id);
    if (record === undefined) throw new Error(`there is no record of a drive ${id}`);
    return record;
  };

  const audit = (who: Who, what: string, { id, model, serial }: DriveRecord, details: object = {}): Statement =>
    auditEntry(clock, who, what, { drive: id, model, serial, ...details });

  return {
    drives: () => [...drives.values()],
    assignments: () => [...assignments.values()],
    smart: () => smart,

    note: (inventory) =>
      inTurn(async () => {
        const { added, changed } = newsOf(inventory, [...drives.values()], clock.now());
        if (added.length + changed.length === 0) return;
        await store.write(...added.flatMap(insertDrive), ...changed.flatMap(updateDrive));
        for (const record of [...added, ...changed]) drives.set(record.id, record);
      }),

    setOwner: (id, owner, who) =>
      inTurn(async () => {
        const record = known(id);
        const entry =
          owner === null
            ? audit(who, 'drive-released', record, { vmid: record.owner?.vmid ?? null })
            : audit(who, 'drive-taken', record, { vmid: owner.vmid });
        await store.write(updateOwner(id, owner), entry);
        drives.set(id, { ...record, owner });
      }),

    demote: (id) =>
      inTurn(async () => {
        const record = known(id);
        const demoted = { ...record, role: null };
        await store.write(...updateDrive(demoted), audit('root', 'drive-demoted', record, { role: record.role?.role ?? null }));
        drives.set(id, demoted);
      }),

    reborn: (id, birth, along) =>
      inTurn(async () => {
        const record = known(id);
        const { former, drive } = bornAnew(record, birth, Math.max(...drives.keys()) + 1, clock.now());
        const spare = former === null ? [] : spareFormers(drives.values(), former);
        const gone = record.keys.filter((key) => (former === null ? !drive.keys.includes(key) : !former.keys.includes(key)));
        await store.write(
          ...dropKeys(id, gone),
          ...(former === null ? updateDrive(drive) : [...updateDrive(former), ...insertDrive(drive), ...moveSmart(id, drive.id)]),
          updateOwner(drive.id, birth.owner),
          ...spare.map((one) => ({ sql: 'DELETE FROM drives WHERE id = ?', values: [one.id] })),
          audit(`guest ${birth.owner.vmid}`, 'drive-formatted', record, { drive: drive.id, before: former === null ? null : id }),
          ...along,
        );
        if (former !== null) drives.set(id, former);
        for (const one of spare) drives.delete(one.id);
        drives.set(drive.id, drive);
        const health = smart.get(id);
        if (former === null || health === undefined) return;
        smart.delete(id);
        smart.set(drive.id, health);
      }),

    remember: (id, role, along) =>
      inTurn(async () => {
        const record = known(id);
        const remembered = role === null || record.role !== null ? record : { ...record, role: { ...role, since: clock.now() } };
        await store.write(...(remembered === record ? [] : updateDrive(remembered)), ...along);
        drives.set(id, remembered);
      }),

    saveAssignment: (assignment) =>
      inTurn(async () => {
        const record = known(assignment.drive);
        const taken = { ...record, keys: [...new Set([...record.keys, ...takenKey(assignment.uuid)])] };
        await store.write(upsertAssignment(assignment), ...updateDrive(taken));
        drives.set(taken.id, taken);
        assignments.set(assignment.mountPoint, assignment);
      }),

    setAssignmentState: (mountPoint, state) =>
      inTurn(async () => {
        const assignment = assignments.get(mountPoint);
        if (assignment === undefined) throw new Error(`there is no assignment at ${mountPoint}`);
        await store.write({ sql: 'UPDATE assignments SET state = ? WHERE mount_point = ?', values: [state, mountPoint] });
        assignments.set(mountPoint, { ...assignment, state });
      }),

    removeAssignment: (mountPoint) =>
      inTurn(async () => {
        await store.write({ sql: 'DELETE FROM assignments WHERE mount_point = ?', values: [mountPoint] });
        assignments.delete(mountPoint);
      }),

    saveSmart: (id, json) =>
      inTurn(async () => {
        known(id);
        await store.write({ sql: 'UPDATE drives SET smart = ? WHERE id = ?', values: [json, id] });
        smart.set(id, json);
      }),
  };
};
