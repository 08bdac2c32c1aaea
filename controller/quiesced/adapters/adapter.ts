/** What an adapter is: how one kind of application is made ready, held, looked at and let go. Runs in a child of its own. */
import type { AdapterName, AppOf } from '#shared/quiesce/config';
import type { Kind } from '#shared/quiesce/table';
import type { RunCommand } from '../command.ts';

export interface Tools {
  /** Runs a program: no shell, its own process group, a deadline. */
  run: RunCommand;
  /** Milliseconds that never jump. */
  monotonic(): number;
  /** What `password_file` says, read before the account was changed; null where none is named. */
  password: string | null;
}

export interface Ready {
  kind: Kind;
  /** False: it does not run, so its data is at rest and nothing is to be held. */
  running: boolean;
}

/** What must be known to set it going again: JSON, kept in the lease. Null: it does not run, and is not to be started. */
export type State = { readonly [key: string]: unknown } | null;

/**
 * One application, in a process of its own. Every function may fail with an error whose message is fit for people (no
 * passwords); each is called by one caller at a time, except that `release` may come at any moment, also in the middle of `hold`.
 */
export interface Session {
  /** Slow; the application goes on working. Fails where it cannot be `app` without a hold, with why. */
  prepare(): Promise<Ready>;
  /** Quick: what would have to be set going again. The lease is written between this and `hold`. */
  look(): Promise<State>;
  /** @param leftMs the server's own end of the hold, where it offers one, is so far away */
  hold(state: State, leftMs: number): Promise<void>;
  /**
   * Quick, at most a second: whether that very hold stands; of one that was only made ready, whether what was true then still is.
   * Called again and again while it is held.
   */
  stillHeld(leftMs: number): Promise<boolean>;
  /** Also by a new process that knows nothing but the state, also twice, also after half a hold. Returns once it is checked. */
  release(state: State): Promise<void>;
  /** Paths as the guest sees them; null: not known. */
  whereDataLies(): Promise<string[] | null>;
  /** Ends what is open: connections, files. */
  close(): Promise<void>;
}

export interface Account {
  uid: number;
  gid: number;
  /** For supplementary groups; null where there is no such name. */
  name: string | null;
}

export interface Adapter<N extends AdapterName> {
  /** Whose account the child takes where quiesce.yaml names none; null: it stays root. */
  account(app: AppOf<N>): Promise<string | Account | null>;
  /** Loads the driver. Nothing is asked of the application yet. */
  open(app: AppOf<N>, tools: Tools): Promise<Session>;
}
