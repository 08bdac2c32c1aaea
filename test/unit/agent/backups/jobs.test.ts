/** The questions about jobs that are asked every few seconds, over years of rows. */
import Database from 'better-sqlite3';
import { expect, test } from 'vitest';
import { createJobs, type Jobs } from '#agent/backups/jobs';
import { MIGRATIONS } from '#agent/ports/store-schema';

test.each<[string, (jobs: Jobs) => Promise<unknown>]>([
  ['whether a task is known', (jobs) => jobs.knowsTask('UPID:x')],
  ['the jobs of a task', (jobs) => jobs.ofTask('UPID:x')],
  ['the unfinished', (jobs) => jobs.unfinished()],
  ["a guest's newest", (jobs) => jobs.newest(101)],
  ['a request', (jobs) => jobs.byRequest(101, 'r1', 0)],
])('%s: found by an index', async (_what, ask) => {
  const database = new Database(':memory:');
  for (const step of MIGRATIONS) database.exec(step);
  const plans: string[] = [];
  await ask(
    createJobs({
      all: async (sql: string, values: readonly unknown[] = []) => {
        const steps = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...values) as { detail: string }[];
        plans.push(...steps.map(({ detail }) => detail));
        return [];
      },
      write: async () => [],
      close: async () => {},
    }),
  );
  expect(plans.join()).toMatch(/USING INDEX/);
});
