/** Where each backup storage was last seen on a mount of its own, kept over restarts: an absent drive leaves an ordinary directory. */
import type { Store } from '#agent/ports/store';
import type { Clock } from '#shared/clock';

/** `seen_at` is for people; it is not worth a write at every check. */
const RENEW_MS = 24 * 3600_000;

export const createRemembered = (store: Pick<Store, 'all' | 'write'>, clock: Clock) => {
  type Row = { path: string; mount_point: string; seen_at: number };
  const row = async (storage: string): Promise<Row | undefined> =>
    (await store.all<Row>('SELECT path, mount_point, seen_at FROM targets WHERE storage = ?', [storage]))[0];

  return {
    /** '' where it was never seen on one, or was given another directory since. */
    of: async (storage: string, path: string): Promise<string> => {
      const before = await row(storage);
      return before?.path === path ? before.mount_point : '';
    },
    /** After every check has passed, so that a new place is one that was accepted. */
    keep: async (storage: string, path: string, point: string): Promise<void> => {
      const before = await row(storage);
      if (point === '/') {
        if (before) await store.write({ sql: 'DELETE FROM targets WHERE storage = ?', values: [storage] });
        return;
      }
      const fresh = before !== undefined && Math.abs(clock.now() - before.seen_at) < RENEW_MS;
      if (fresh && before.path === path && before.mount_point === point) return;
      const sql = 'INSERT OR REPLACE INTO targets (storage, path, mount_point, seen_at) VALUES (?, ?, ?, ?)';
      await store.write({ sql, values: [storage, path, point, clock.now()] });
    },
  };
};
export type Remembered = ReturnType<typeof createRemembered>;
