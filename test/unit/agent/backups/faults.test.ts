/** Random faults: no second vzdump, nothing called done that was not, no report lost or made better, and the truth within five seconds of the last restart. */
import { expect, test } from 'vitest';
import { runHistory } from './faults.ts';

const SOAK = process.env.FELHOM_SOAK !== undefined;
const HISTORIES = SOAK ? 2000 : 200;

test(`${HISTORIES} histories`, { timeout: SOAK ? 3_600_000 : 120_000 }, async () => {
  const wrong: string[] = [];
  let done = 0;
  let failed = 0;
  let apps = 0;
  for (let seed = 1; seed <= HISTORIES; seed += 1) {
    const history = await runHistory(seed);
    wrong.push(...history.wrong.map((what) => `seed ${seed}: ${what}`));
    done += history.done;
    failed += history.failed;
    apps += history.apps;
  }
  expect(wrong).toEqual([]);
  // Both kinds, so that something was proved.
  expect(Math.min(done, failed)).toBeGreaterThan(HISTORIES / 4);
  expect(apps).toBeGreaterThan(HISTORIES / 20);
});
