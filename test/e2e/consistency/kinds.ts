/** The engines of this proof, by name. */
import type { EngineKind } from '../../engines/engine.ts';
import { mariadb, mariadbMyisam } from '../../engines/mariadb.ts';
import { postgres } from '../../engines/postgres.ts';
import { redisAof, redisWith } from '../../engines/redis.ts';
import { sqlite } from '../../engines/sqlite.ts';

/** Says in its log when a dump was begun. */
const redisRdb = redisWith(false, ['--loglevel', 'notice']);

const ALL = [postgres, mariadb, mariadbMyisam, redisRdb, redisAof, sqlite];

export const ENGINE_NAMES = ['postgres', 'mariadb', 'mariadb-myisam', 'redis-rdb', 'redis-aof', 'sqlite'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

export const kindOf = (name: EngineName): EngineKind => {
  const kind = ALL.find((one) => one.name === name);
  if (kind === undefined) throw new Error(`no engine is called ${name}`);
  return kind;
};
