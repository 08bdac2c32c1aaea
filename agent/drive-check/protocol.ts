/** What drive-check and the agent say to each other. Types only. */

/** A process that keeps a drive, or a file system on it, in use. */
export interface DeviceUser {
  /** As the host numbers it. */
  pid: number;
  /** Its name, as it chose it itself. */
  command: string;
  /** The guest that it belongs to, by its control group; null: the host. */
  vmid: number | null;
  /** `unreadable`: nobody can tell what it has open. */
  what: 'device' | 'file' | 'directory' | 'root' | 'mapping' | 'unreadable';
  /** As the process sees it; empty where it cannot be told. */
  path: string;
}

export interface Zeros {
  blank: boolean;
  /** Bytes from the start, of the first byte that is not zero. */
  firstDataAt: number | null;
}

export type Found = 'vzdump' | 'chunks' | 'nothing';

export type Line =
  /** The reading has come so far. */
  | { readBytes: number }
  | { user: DeviceUser }
  | { exclusive: 'free' | 'busy' }
  | { flushed: true }
  /** It is about to be made read-only for the time of a look; lifted again before the answer. */
  | { readOnly: string }
  | { writable: string }
  | { found: Found }
  | { zeros: Zeros }
  /** All users have been told. */
  | { told: true }
  /** `code`: the system's, such as `EIO`; empty where it has none. */
  | { failed: { code: string; why: string } };
