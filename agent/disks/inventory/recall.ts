/** What was known of a drive before: its record, the records of whatever carried the same, and the roles that these remember. Pure. */
import type { DriveRecord } from './drive.ts';
import type { Found } from './found.ts';
import { isHardwareKey } from './identity.ts';
import { plain } from './plain.ts';

/** A drive that is plugged in. */
export interface Present {
  name: string;
  /** Most telling first. */
  keys: readonly string[];
  twins: readonly string[];
  /** Its keys are those of what is on it now; otherwise something on it may not be known. */
  isRead: boolean;
  /** Its record, where something else than its keys tells. */
  known?: number;
  /** A guest has it and the host has nothing on it: that guest may write any UUID on it, also another drive's. */
  inGuestsHands: boolean;
}

export interface Recall {
  record: DriveRecord | null;
  related: readonly DriveRecord[];
}

/** The record that knows the most telling key. Several are not expected; the oldest then. */
const knowing = (records: readonly DriveRecord[], keys: readonly string[]): DriveRecord | undefined => {
  for (const key of keys) {
    const [oldest] = records.filter((record) => record.keys.includes(key)).sort((a, b) => a.id - b.id);
    if (oldest !== undefined) return oldest;
  }
  return undefined;
};

const contentKeys = (keys: readonly string[]): string[] => keys.filter((key) => !isHardwareKey(key));
const hardwareKeys = (keys: readonly string[]): string[] => keys.filter(isHardwareKey);

const share = (some: readonly string[], others: readonly string[]): boolean => some.some((key) => others.includes(key));

/**
 * Hardware decides which record is a drive's own. Else it is the record of a drive with this content that is not plugged in: the same one
 * in another enclosure. While that one is plugged in too, or two could be it, they are copies, and each gets a record of its own.
 */
export const recallOf = (present: readonly Present[], records: readonly DriveRecord[]): ReadonlyMap<string, Recall> => {
  const byHardware = new Map(
    present.map((one) => [one.name, records.find(({ id }) => id === one.known) ?? knowing(records, hardwareKeys(one.keys))]),
  );
  const absent = records.filter(
    (record) =>
      !present.some(({ keys, known }) => known === record.id || hardwareKeys(keys).some((key) => record.keys.includes(key))),
  );
  const byContent = new Map(
    present.map((one) => [
      one.name,
      byHardware.get(one.name) || one.inGuestsHands ? undefined : knowing(absent, contentKeys(one.keys)),
    ]),
  );
  const claimedTwice = (one: Present, record: DriveRecord): boolean =>
    present.some(({ name }) => name !== one.name && !one.twins.includes(name) && byContent.get(name) === record);

  const ownOf = (one: Present): DriveRecord | null => {
    const record = byHardware.get(one.name) ?? byContent.get(one.name);
    if (record === undefined) return null;
    return byContent.get(one.name) === record && claimedTwice(one, record) ? null : record;
  };
  const guestHeld = new Set(present.filter(({ inGuestsHands }) => inGuestsHands).flatMap((one) => ownOf(one)?.id ?? []));
  /** What a drive that is plugged in and was read carried before says nothing of what carries that now. */
  const keysNow = (record: DriveRecord): readonly string[] => {
    const drives = present.filter((one) => ownOf(one) === record);
    return drives.length > 0 && drives.every(({ isRead }) => isRead) ? drives.flatMap(({ keys }) => keys) : record.keys;
  };
  return new Map(
    present.map((one) => {
      const record = ownOf(one);
      const related = records.filter(
        (other) => other.id !== record?.id && !guestHeld.has(other.id) && share(keysNow(other), one.keys),
      );
      return [one.name, { record, related }];
    }),
  );
};

const KNOWN_AS = { system: 'a system drive', backup: 'a backup drive' } as const;

const remembered = ({ role }: DriveRecord, whose: string): Found[] =>
  role === null
    ? []
    : [
        {
          role: role.role,
          sentence: `${whose} ${KNOWN_AS[role.role]} before: ${plain(role.why, 300)}`,
          forGuests: `${whose} ${KNOWN_AS[role.role]} before.`,
          // It is in the database already.
          lasting: false,
          origin: 'remembered',
        },
      ];

export const rememberedBy = ({ record, related }: Recall): Found[] => [
  ...(record === null ? [] : remembered(record, 'It was known as')),
  ...related.flatMap((other) => remembered(other, 'It carries the same as a drive that was known as')),
];
