/** A real database server for a test: started on a private directory, written to, and looked at again after a restore. */

export interface EngineDirs {
  /** Made by `start` where it is empty; otherwise what lies there is opened, as after a restore. */
  data: string;
  /** Another volume for the write-ahead log, where the engine can have one apart. */
  log?: string;
  /** For sockets and pid files; short, for a socket's path may have 107 bytes. */
  run: string;
}

export interface Engine {
  pid: number;
  /** Keys of its entry in quiesce.yaml, without `name`. */
  entry: Record<string, unknown>;
  /** Commits one row, by the engine's own idea of a commit. */
  commit(row: number): Promise<void>;
  /** Writes one row in a transaction that is never committed, and stays open as long as the server lives. Absent: it has none. */
  leaveOpen?(row: number): Promise<void>;
  /** All rows that can be read. */
  rows(): Promise<number[]>;
  /** The engine's own check of its files and tables; rejects where they are broken. */
  check(): Promise<void>;
  /** Ends it cleanly, or at once with SIGKILL where that fails; never leaves a process. */
  stop(): Promise<void>;
  kill(): Promise<void>;
}

export interface EngineKind {
  name: string;
  /** Why it cannot run here, as a skipped test says it; null: it can. */
  lacks(): string | null;
  /** Rejects where the server does not come up on what lies there. */
  start(dirs: EngineDirs): Promise<Engine>;
}
