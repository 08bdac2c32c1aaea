/** The agent's one SQLite database, behind a worker thread: a slow disk never stalls the event loop. */

export type SqlValue = string | number | bigint | Buffer | null;

/** One statement with its bound values. */
export interface Statement {
  sql: string;
  values?: readonly SqlValue[];
}

export interface Store {
  /** The rows of a query. */
  all<Row>(sql: string, values?: readonly SqlValue[]): Promise<Row[]>;
  /** Writes, all or nothing; durable (fsynced) when it resolves. Answers how many rows each statement changed. */
  write(...statements: Statement[]): Promise<number[]>;
  close(): Promise<void>;
}
