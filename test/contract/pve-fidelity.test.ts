/** The recorded exchanges, replayed: the number that agrees never falls. */

import { expect, test } from 'vitest';
import { loadExchanges } from '../pve/fidelity/exchange.ts';
import { replay } from '../pve/fidelity/replay.ts';

const FLOOR = 461;

test(`at least ${FLOOR} recorded exchanges are answered as a real server does`, { timeout: 60_000 }, async () => {
  const results = await replay(loadExchanges(''));
  const differ = results.filter((r) => r.problems.length > 0).map((r) => `#${r.index} ${r.exchange.name}: ${r.problems[0]}`);
  expect(results.length - differ.length, differ.join('\n')).toBeGreaterThanOrEqual(FLOOR);
});
