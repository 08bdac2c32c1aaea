/** `npm run test:fidelity`: replays recorded exchanges and says which ones the simulator answers differently, and how. */

import { loadRecording } from './exchange.ts';
import { replay } from './replay.ts';

const { exchanges, unreadable } = loadRecording();
const results = await replay(exchanges);
const out = unreadable.map((line) => `line ${line} holds no exchange`);
for (const { index, exchange, problems } of results) {
  if (problems.length === 0) continue;
  const asked = exchange.raw ? 'raw' : `${exchange.request.method} ${exchange.request.path}`;
  out.push(`#${index} ${exchange.name} (${asked.slice(0, 160)})`);
  for (const problem of problems.slice(0, 2)) out.push(`    ${problem.slice(0, 300)}`);
  if (problems.length > 2) out.push(`    … and ${problems.length - 2} more`);
}
const agree = results.filter((r) => r.problems.length === 0).length;
out.push(`fidelity: ${agree} of ${exchanges.length + unreadable.length}`);
process.stdout.write(`${out.join('\n')}\n`);
