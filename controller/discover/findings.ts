/** What was found in the guest, as one snapshot: proposals are made from this and nothing else. */
import type { Mount } from '#shared/mountinfo';

export type Listening =
  | { kind: 'unix'; path: string }
  /** `address` as felhom-quiesced would reach it; null: it listens on other machines' side only. */
  | { kind: 'tcp'; address: '127.0.0.1' | '::1' | null; port: number };

/** A container that a process is in; `engine` other than docker: nothing that an adapter could hold. */
export interface InContainer {
  engine: 'docker' | 'podman' | 'other';
  id: string;
}

export interface FoundProcess {
  pid: number;
  ppid: number;
  /** Of its program, up to 15 bytes: proc_pid_comm(5). */
  name: string;
  argv: string[];
  /** The name of its account; null: not known. */
  user: string | null;
  container: InContainer | null;
  /** The system unit that it belongs to; null: none, or one of a user's own. */
  unit: string | null;
  cwd: string | null;
  /** Null: its files could not be looked at. */
  files: OpenFile[] | null;
  listens: Listening[];
}

export interface OpenFile {
  path: string;
  writable: boolean;
  /** By the first bytes of the file. */
  sqlite: boolean;
}

export interface FoundContainer {
  id: string;
  name: string;
  image: string;
  autoRemove: boolean;
  paused: boolean;
  labels: Record<string, string>;
  mounts: { type: string; source: string; destination: string; writable: boolean }[];
}

export interface Findings {
  processes: FoundProcess[];
  /** Every listening Unix socket, also of processes whose files could not be looked at. */
  sockets: string[];
  /** Null: there is no Docker here. A text: there is, and this is why it could not be asked. */
  docker: FoundContainer[] | string | null;
  mounts: Mount[];
  /** Processes whose files could not be looked at. */
  hidden: number;
}
