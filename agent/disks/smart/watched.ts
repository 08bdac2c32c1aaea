/** What is known of one drive's health from one plugging in to the next, and when to ask again. Pure. */
import type { KernelDevice } from '../../ports/sysfs.ts';
import { at, documentIn, numberAt, textAt } from './document.ts';
import { type SmartReading, tellsSomething } from './parse.ts';

export interface Kept {
  reading: SmartReading;
  /** Milliseconds since 1970. */
  at: number;
}

export interface Watched {
  name: string;
  /** Names this plugging in, also after a restart of the agent; another one is another drive until told otherwise. */
  plug: string;
  kept: Kept | null;
  /** Monotonic; of the newest reading that was tried. */
  askedAt: number | null;
  /** Its power mode, when somebody last saw it; monotonic. */
  seen: { asleep: boolean; at: number } | null;
  /** Monotonic; when it was first seen awake after it had slept, or was woken. */
  awakeSince: number | null;
  /** What smartctl has to be told; empty where it knows. */
  type: '' | 'sat';
  /** Any question may wake it: asked once a plugging in. */
  mute: boolean;
  /** Which question has no end: only that one is asked again, so that one child at most is ever left behind. */
  hung: 'read' | 'look' | null;
  /** Why the newest reading has told nothing. */
  note: readonly string[];
}

const HOUR_MS = 3_600_000;
/** Drives of one host drift apart. */
const JITTER_MS = 5 * 60_000;
/** Whoever woke a drive is using it; SMART commands keep it from its work, and some drives from falling asleep again. */
const SPIN_UP_MS = 10 * 60_000;
/** How soon a drive that did not answer is tried again; where the child is still there this starts none. */
const HUNG_MS = 5 * 60_000;

const jitter = (name: string): number => [...name].reduce((sum, char) => (sum * 31 + char.charCodeAt(0)) % JITTER_MS, 0);

/** Drives of virtual machines, memory cards and layers have no SMART: smartctl is not asked for them. */
export const askable = (name: string): boolean => /^(sd[a-z]{1,4}|nvme\d{1,4}n\d{1,4})$/.test(name);

export const whyNotAskable = ({ transport }: Pick<KernelDevice, 'transport'>): string => {
  if (transport === 'mmc') return 'Memory cards have no SMART.';
  if (transport === 'loop') return 'A loop device has no SMART.';
  return 'Virtual drives have no SMART.';
};

/** Only what spins can sleep so that it takes seconds to answer; many USB bridges call everything spinning. */
export const maySleep = ({ name, rotational, usb }: KernelDevice): boolean =>
  name.startsWith('sd') && (usb || rotational !== false);

/** What to do now. `look`: only whether it still sleeps. */
export const dueOf = (watched: Watched, device: KernelDevice, now: number): 'read' | 'look' | 'nothing' => {
  const { name, askedAt, seen, awakeSince, mute, hung } = watched;
  if (!askable(name) || device.suspended) return 'nothing';
  if (mute && askedAt !== null) return 'nothing';
  if (awakeSince !== null && now - awakeSince < SPIN_UP_MS) return 'nothing';
  if (askedAt !== null && now - askedAt < (hung === null ? HOUR_MS + jitter(name) : HUNG_MS)) return 'nothing';
  if (hung !== null) return hung;
  if (seen?.asleep !== true) return 'read';
  return now - seen.at < HOUR_MS ? 'nothing' : 'look';
};

/** Somebody saw whether it sleeps. */
export const seenNow = (watched: Watched, asleep: boolean, now: number): Watched => ({
  ...watched,
  seen: { asleep, at: now },
  awakeSince: !asleep && watched.seen?.asleep === true ? now : watched.awakeSince,
});

/** A reading that tells nothing, or has no verdict where there was one, does not take the place of one that has. */
export const replaces = (reading: SmartReading, before: Kept | null): boolean =>
  tellsSomething(reading) && (reading.health !== 'UNKNOWN' || before === null || before.reading.health === 'UNKNOWN');

/** As the database keeps it. */
export const keptText = ({ kept, plug, mute }: Watched): string => JSON.stringify({ ...kept, plug, mute });

const HEALTHS: readonly SmartReading['health'][] = ['PASSED', 'FAILING', 'UNKNOWN'];

/** Null for what this version cannot read. */
const keptIn = (document: unknown): Kept | null => {
  const when = numberAt(document, 'at');
  const health = HEALTHS.find((one) => one === at(document, 'reading', 'health'));
  const reasons = at(document, 'reading', 'reasons');
  if (when === null || health === undefined || !Array.isArray(reasons)) return null;
  return {
    at: when,
    reading: {
      health,
      temperature_c: numberAt(document, 'reading', 'temperature_c'),
      percentage_used: numberAt(document, 'reading', 'percentage_used'),
      power_on_hours: numberAt(document, 'reading', 'power_on_hours'),
      standby: false,
      reasons: reasons.filter((one) => typeof one === 'string'),
    },
  };
};

/** A time that the clock has not reached was written by a clock that was wrong. */
export const ageOf = ({ at: when }: Kept, wall: number): number => Math.max(0, wall - when);

export const newlyWatched = (name: string, plug: string): Watched => ({
  name,
  plug,
  kept: null,
  askedAt: null,
  seen: null,
  awakeSince: null,
  type: '',
  mute: false,
  hung: null,
  note: [],
});

/** With what the database has of it. The same plugging in is asked again when its hour is over, not at each start of the agent. */
export const restored = (watched: Watched, text: string, { now, wall }: { now: number; wall: number }): Watched => {
  const document = documentIn(text);
  const kept = keptIn(document);
  if (kept === null) return watched;
  const same = textAt(document, 'plug') === watched.plug;
  const age = ageOf(kept, wall);
  const asked = same && kept.at <= wall && watched.askedAt === null;
  return {
    ...watched,
    kept: watched.kept ?? kept,
    mute: watched.mute || (same && at(document, 'mute') === true),
    askedAt: asked ? now - age : watched.askedAt,
  };
};
