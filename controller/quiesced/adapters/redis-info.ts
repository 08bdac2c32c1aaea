/** What INFO of Redis says, and what in it tells that nothing was written. Pure. https://redis.io/docs/latest/commands/info/ */

export interface Info {
  /** Fails where it is not said: then this is no Redis that we know. */
  text(key: string): string;
  count(key: string): number;
  /** 0 where it is not said, as by an older version. */
  countOr0(key: string): number;
  /** Of the commands that have run. */
  calls: ReadonlyMap<string, number>;
}

/** @param reply of `INFO all`: all of it from one moment */
export const parseInfo = (reply: string): Info => {
  const fields = new Map<string, string>();
  const calls = new Map<string, number>();
  for (const line of reply.split('\r\n')) {
    const at = line.indexOf(':');
    if (at < 0) continue;
    const [key, value] = [line.slice(0, at), line.slice(at + 1)];
    const command = /^cmdstat_(.+)$/.exec(key)?.[1];
    if (command === undefined) fields.set(key, value);
    else calls.set(command.toLowerCase(), Number(/(?:^|,)calls=(\d+)/.exec(value)?.[1] ?? 0));
  }
  const text = (key: string): string => {
    const value = fields.get(key);
    if (value === undefined) throw new Error(`its INFO does not tell ${key}, as Redis does`);
    return value;
  };
  const count = (key: string): number => {
    const value = Number(text(key));
    if (!Number.isFinite(value)) throw new Error(`its INFO tells no number as ${key}`);
    return value;
  };
  return { text, count, countOr0: (key) => (fields.has(key) ? count(key) : 0), calls };
};

/** Earlier ones cannot let readers go on while writers wait. https://redis.io/docs/latest/commands/client-pause/ */
const OLDEST = [6, 2] as const;

/** Why it cannot be held, as a sentence; null: it can. */
export const refusal = (info: Info): string | null => {
  const version = info.text('redis_version');
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]))
    return `this is Redis ${version}, and only ${OLDEST.join('.')} and later can let writers wait: upgrade it, or let the systemd adapter stop it`;
  const mode = info.text('redis_mode');
  if (mode === 'sentinel') return 'this is a Sentinel, which keeps no data: name the server that it watches';
  if (mode === 'cluster' || info.countOr0('cluster_enabled') !== 0)
    return 'this is one node of a cluster, and the others would go on writing: a cluster cannot be held from one guest';
  if (info.text('role') !== 'master') return 'this is a replica: what it holds changes with its master, so back up that one';
  return null;
};

/** Everything that a write, an expiry or an eviction changes. */
export interface Counters {
  runId: string;
  role: string;
  /** Calls of commands that write, also from scripts and modules. */
  writes: number;
  removed: number;
  /** Changes since the last dump. Only falls when a dump has ended. */
  changes: number;
  dumps: string;
}

/** @param writing the names of the commands that may change data */
export const countersOf = (info: Info, writing: ReadonlySet<string>): Counters => ({
  runId: info.text('run_id'),
  role: info.text('role'),
  writes: [...info.calls].reduce((sum, [name, calls]) => sum + (writing.has(name) ? calls : 0), 0),
  removed: ['expired_keys', 'evicted_keys', 'expired_subkeys'].reduce((sum, key) => sum + info.countOr0(key), 0),
  changes: info.count('rdb_changes_since_last_save'),
  dumps: `${info.countOr0('rdb_saves')} ${info.text('rdb_last_save_time')}`,
});

/** Whether nothing was written between the two. Statistics that were reset count as a write: nothing is known then. */
export const nothingWritten = (before: Counters, after: Counters): boolean => {
  const changes = before.dumps === after.dumps ? after.changes === before.changes : after.changes <= before.changes;
  const same = (['runId', 'role', 'writes', 'removed'] as const).every((key) => before[key] === after[key]);
  return same && changes;
};
