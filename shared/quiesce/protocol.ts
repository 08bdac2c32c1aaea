/** What felhom-controller and felhom-quiesced say to each other: one JSON document a line, over a Unix socket. Pure. */
import { integer, listOf, oneOf, optional, type Reader, readSettings, section, text } from '../settings.ts';
import { type AdapterName, appName } from './config.ts';
import type { Kind } from './table.ts';

/** One connection is one attempt: when it ends, whatever is held is let go. */
export const VERBS = ['prepare', 'hold', 'check', 'release', 'status'] as const;
export type Verb = (typeof VERBS)[number];

/** The longest line either side reads. */
export const MOST_LINE_BYTES = 256 * 1024;

export type Request =
  /** Every application makes ready, while it goes on working. Empty `apps`: all. */
  | { id: number; verb: 'prepare'; apps: string[]; within_ms: number }
  /** These are held, in the order of quiesce.yaml, for no longer than the lease: min(hold_max, 3 × expected + 15 s). */
  | {
      id: number;
      verb: 'hold';
      apps: string[];
      hold_expected_ms: number | null /** What they wrote is to reach the disk. */;
      flush: boolean;
    }
  | { id: number; verb: 'check' }
  | { id: number; verb: 'release' }
  | { id: number; verb: 'status' };

export type RequestOf<V extends Verb> = Omit<Extract<Request, { verb: V }>, 'id' | 'verb'>;

/** Where a part of an application's data lies, with links followed. */
export interface Place {
  path: string;
  /** Of the mount that it is on. */
  mount_point: string;
  /** `8:1`, from /proc/self/mountinfo. */
  device: string;
  fstype: string;
  /** Within the file system, for binds. */
  root: string;
  /** Of btrfs: where the subvolume that it is in is mounted, or a part of that. A snapshot of another one leaves it empty. */
  subvolume_at?: string[];
}

export interface PreparedApp {
  app: string;
  adapter: AdapterName;
  /** Ready: what the table asks for without a hold is true. */
  ok: boolean;
  /** A sentence for people; empty where it is ready. */
  error: string;
  /** Null where it could not be looked at. */
  kind: Kind | null;
  /** False: it was not running, so there is nothing to hold, and nothing will be started. */
  running: boolean;
  hold: 'auto' | 'always' | 'never';
  /** Null: it is not known where its data lies. */
  data: Place[] | null;
  ms: number;
}

export interface HeldApp {
  app: string;
  held: boolean;
  error: string;
  ms: number;
}

export interface CheckedApp {
  app: string;
  /** Of a held one: the same hold stands. Of another: what was true when it was made ready still is. */
  stands: boolean;
  /**
   * The hold stood until this program itself stood still for so long, and ended while it did: then it stood at a cut within
   * that time, if the host says that the whole guest was frozen. Null in any other case.
   */
  frozen_ms: number | null;
  error: string;
}

export interface ReleasedApp {
  app: string;
  /** Running as before, and looked at. False: it is tried again, for ever. */
  back: boolean;
  /** From the beginning of its hold to its end. */
  held_ms: number;
  error: string;
}

export interface QuiescedStatus {
  version: string;
  /** Empty: quiesce.yaml can be used. Otherwise why not, and the command that mends it. */
  config_error: string;
  apps: { name: string; adapter: AdapterName; hold: 'auto' | 'always' | 'never' }[];
  hold_max_ms: number;
  /** What is held now. */
  lease: { apps: string[]; left_ms: number } | null;
  /** Let go, but not back yet. */
  not_back: { app: string; error: string; since_ms: number }[];
}

export interface Replies {
  prepare: { apps: PreparedApp[] };
  /** An empty `apps`: nothing could be held, and nothing is. */
  hold: { left_ms: number; apps: HeldApp[] };
  check: { apps: CheckedApp[] };
  /** After the first try of each. */
  release: { apps: ReleasedApp[] };
  status: QuiescedStatus;
}

/**
 * `busy`: another connection is at it. `config`: quiesce.yaml cannot be used. `lease`: it could not be made durable, so nothing
 * is held. `invalid`: not a request, or not now.
 */
export const REFUSALS = ['busy', 'config', 'lease', 'invalid', 'internal'] as const;
export type Refusal = (typeof REFUSALS)[number];

export type Answer<V extends Verb = Verb> =
  | { id: number; ok: true; data: Replies[V] }
  | { id: number; ok: false; code: Refusal; error: string };

const count = integer(0, Number.MAX_SAFE_INTEGER);
const yes: Reader<boolean> = (value, path, problems) => {
  if (typeof value !== 'boolean') problems.push({ path, sentence: 'must be true or false' });
  return value === true;
};
const apps = listOf(appName);
const verb = text('a verb', (value) => (VERBS as readonly string[]).includes(value));

const REQUESTS: { [V in Verb]: Reader<RequestOf<V> & { id: number; verb: string }> } = {
  prepare: section({ id: count, verb, apps, within_ms: count }),
  hold: section({ id: count, verb, apps, hold_expected_ms: optional<number | null>(count, null), flush: yes }),
  check: section({ id: count, verb }),
  release: section({ id: count, verb }),
  status: section({ id: count, verb }),
};

/** Null: not a request. */
export const readRequest = (line: string): Request | null => {
  try {
    const value: unknown = JSON.parse(line);
    const named = readSettings(oneOf(VERBS), (value as { verb?: unknown } | null)?.verb ?? '');
    if (!named.ok) return null;
    const settled = readSettings<object>(REQUESTS[named.settings], value);
    return settled.ok ? (settled.settings as Request) : null;
  } catch {
    return null;
  }
};
