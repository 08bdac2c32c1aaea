/** What an inventory teaches about drives that the database does not know yet. Pure. */
import type { Drive, DriveRecord, Inventory, Reason } from '../inventory/drive.ts';

/** A drive is seen at every look; that it was is written this often. */
const SEEN_MS = 3_600_000;

/**
 * No honest drive carries so much in its life: a table of 128 partitions has two each. A guest that a drive was given to may write
 * another UUID on it every few seconds.
 */
const MOST_KEYS = 1_000;

/** The weightier one wins. */
const WEIGHT = { backup: 1, system: 2 } as const;
type Lasting = keyof typeof WEIGHT;

type Remembered = DriveRecord['role'];

const lastingRole = (reasons: readonly Reason[]): { role: Lasting; why: string } | null => {
  const lasting = reasons.flatMap(({ role, sentence, lasting }) =>
    lasting && role !== 'user-data' ? [{ role, why: sentence }] : [],
  );
  return lasting.sort((a, b) => WEIGHT[b.role] - WEIGHT[a.role])[0] ?? null;
};

/** A role that is remembered keeps its words and its date. */
const roleAfter = (before: Remembered, { reasons }: Drive, now: number): Remembered => {
  const seen = lastingRole(reasons);
  if (seen === null || (before !== null && WEIGHT[before.role] >= WEIGHT[seen.role])) return before;
  return { ...seen, since: now };
};

const sameRole = (a: Remembered, b: Remembered): boolean => a?.role === b?.role && a?.since === b?.since;

/** What a look may leave out: a source that was silent takes nothing away. */
const either = <T extends string | number | null>(seen: T, before: T): T => (seen === '' || seen === null ? before : seen);

const updated = (before: DriveRecord, drive: Drive, now: number): DriveRecord => {
  const { model, serial, wwn, sizeBytes, transport, keys } = drive.identity;
  const news = keys.filter((key) => !before.keys.includes(key)).slice(0, Math.max(0, MOST_KEYS - before.keys.length));
  // Whoever demoted the drive since it was looked at is not overruled by that look.
  const current = drive.record === null || sameRole(drive.record.role, before.role);
  return {
    ...before,
    name: drive.name,
    model: either(model, before.model),
    serial: either(serial, before.serial),
    wwn: either(wwn, before.wwn),
    sizeBytes: either(sizeBytes, before.sizeBytes),
    transport: either(transport, before.transport),
    keys: news.length === 0 ? before.keys : [...before.keys, ...news],
    lastSeenAt: now,
    role: current ? roleAfter(before.role, drive, now) : before.role,
  };
};

const isNews = (before: DriveRecord, after: DriveRecord): boolean =>
  (Object.keys(after) as (keyof DriveRecord)[]).some((field) => field !== 'lastSeenAt' && after[field] !== before[field]) ||
  after.lastSeenAt - before.lastSeenAt >= SEEN_MS ||
  // The clock was set back.
  after.lastSeenAt < before.lastSeenAt;

const blankRecord = (id: number, now: number): DriveRecord => ({
  ...{ id, name: '', model: '', serial: '', wwn: '', sizeBytes: null, transport: '', keys: [] },
  ...{ firstSeenAt: now, lastSeenAt: now, role: null, owner: null },
});

const ofHardware = (key: string): boolean => /^(wwn|serial):/.test(key);

/**
 * The record that a drive without one belongs to all the same: of a twin that was seen in the same look, or one that knows every key
 * it has, so that nothing could tell a further record from it.
 */
const alike = (keys: readonly string[], known: Iterable<DriveRecord>, added: readonly DriveRecord[]): DriveRecord | undefined =>
  added.find((record) => record.keys.some((key) => ofHardware(key) && keys.includes(key))) ??
  [...known].find((record) => keys.every((key) => record.keys.includes(key)));

/** A record only loses keys when its drive was formatted: then what was seen before is not of that record any more. */
const isOutdated = (seen: DriveRecord, { keys }: DriveRecord): boolean => seen.keys.some((key) => !keys.includes(key));

export interface News {
  added: DriveRecord[];
  changed: DriveRecord[];
}

/**
 * A drive without any key could never be recognised, so that it gets no record. While a source is missing no record is made: a drive
 * that is half known would get a second one when it is wholly known.
 */
export const newsOf = ({ drives, missing }: Inventory, records: readonly DriveRecord[], now: number): News => {
  const after = new Map(records.map((record) => [record.id, record]));
  const added: DriveRecord[] = [];
  let lastId = Math.max(0, ...after.keys());
  for (const drive of drives) {
    const { keys } = drive.identity;
    if (drive.record !== null) {
      const before = after.get(drive.record.id);
      if (before !== undefined && !isOutdated(drive.record, before)) after.set(before.id, updated(before, drive, now));
    } else if (keys.length > 0 && missing.length === 0) {
      const twin = alike(keys, records, added);
      if (twin !== undefined && !added.includes(twin)) continue;
      if (twin === undefined) lastId += 1;
      const record = updated(twin ?? blankRecord(lastId, now), drive, now);
      if (twin === undefined) added.push(record);
      else added[added.indexOf(twin)] = record;
    }
  }
  return {
    added,
    changed: records.flatMap((before) =>
      isNews(before, after.get(before.id) ?? before) ? [after.get(before.id) ?? before] : [],
    ),
  };
};
