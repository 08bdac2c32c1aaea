/** What INFO of Redis tells: which servers are refused, and whether anything was written. */
import { describe, expect, test } from 'vitest';
import { countersOf, nothingWritten, parseInfo, refusal } from '#controller/quiesced/adapters/redis-info';

/** As 7.0.15 says it, cut down. */
const INFO = {
  redis_version: '7.0.15',
  redis_mode: 'standalone',
  run_id: 'a80683eac5fbab099027d4e5c6ac2fc21d5e8fbf',
  role: 'master',
  cluster_enabled: '0',
  rdb_changes_since_last_save: '7',
  rdb_last_save_time: '1795332480',
  rdb_saves: '3',
  expired_keys: '5',
  evicted_keys: '0',
  cmdstat_get: 'calls=10,usec=1',
  cmdstat_set: 'calls=4,usec=22,usec_per_call=11.00,rejected_calls=0,failed_calls=0',
  'cmdstat_xgroup|create': 'calls=1,usec=12',
};
const info = (changed: Record<string, string> = {}) =>
  parseInfo(
    `# Server\r\n${Object.entries({ ...INFO, ...changed })
      .map(([key, value]) => `${key}:${value}`)
      .join('\r\n')}\r\n`,
  );
const WRITING = new Set(['set', 'xgroup|create']);

describe('which server can be held', () => {
  test.each<[string, Record<string, string>, RegExp | null]>([
    ['7.0', {}, null],
    ['6.2.0', { redis_version: '6.2.0' }, null],
    ['10.0', { redis_version: '10.0.1' }, null],
    ['6.0', { redis_version: '6.0.16' }, /Redis 6\.0\.16, and only 6\.2 and later/],
    ['5.9', { redis_version: '5.9.9' }, /upgrade it/],
    ['a Sentinel', { redis_mode: 'sentinel' }, /Sentinel/],
    ['a node of a cluster', { redis_mode: 'cluster', cluster_enabled: '1' }, /cluster/],
    ['a replica', { role: 'slave' }, /replica/],
  ])('%s', (_which, changed, expected) => {
    if (expected === null) expect(refusal(info(changed))).toBeNull();
    else expect(refusal(info(changed))).toMatch(expected);
  });

  test('what is no Redis says so by what it does not tell', () => {
    expect(() => refusal(parseInfo('version:1\r\n'))).toThrow(/does not tell redis_version/);
    expect(() => info({ rdb_saves: 'many' }).count('rdb_saves')).toThrow(/no number/);
  });
});

describe('whether nothing was written', () => {
  test.each<[string, Record<string, string>, boolean]>([
    ['nothing happened', {}, true],
    ['reads', { cmdstat_get: 'calls=900,usec=1' }, true],
    ['a write', { cmdstat_set: 'calls=5,usec=1' }, false],
    ['a first write of its kind', { 'cmdstat_xgroup|create': 'calls=2,usec=1' }, false],
    ['statistics that were reset', { cmdstat_set: 'calls=0,usec=0', 'cmdstat_xgroup|create': 'calls=0,usec=0' }, false],
    ['a change that no command made', { rdb_changes_since_last_save: '8' }, false],
    ['a dump that ended', { rdb_changes_since_last_save: '0', rdb_saves: '4' }, true],
    [
      'a dump that ended, of a version that counts none',
      { rdb_changes_since_last_save: '0', rdb_last_save_time: '1795332490' },
      true,
    ],
    ['changes after a dump that ended', { rdb_changes_since_last_save: '8', rdb_saves: '4' }, false],
    ['a key that expired', { expired_keys: '6' }, false],
    ['a key that was evicted', { evicted_keys: '1' }, false],
    ['a field that expired', { expired_subkeys: '1' }, false],
    ['another server', { run_id: 'b' }, false],
    ['another role', { role: 'slave' }, false],
  ])('%s', (_what, changed, expected) => {
    expect(nothingWritten(countersOf(info(), WRITING), countersOf(info(changed), WRITING))).toBe(expected);
  });
});
