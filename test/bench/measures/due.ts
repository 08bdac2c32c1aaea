/** How long `/backup/due` takes while fifty guests poll. */
import { backUpAll, backupEnded, type Crowd, GUESTS, pollDue, startBackup, startCrowd } from '../crowd.ts';
import { atMost, type Figure, quantile, summarise } from '../figure.ts';
import type { Measure } from '../measure.ts';

/** Sixty times as often as controllers do, for samples enough. */
const EVERY_MS = 1000;
const BUDGET_MS = 50;

const figureOf = (when: string, samples: readonly number[]): Figure => ({
  name: `GET /backup/due, ${when}, p99`,
  value: quantile(samples, 0.99),
  unit: 'ms',
  budget: atMost(BUDGET_MS),
  note: `${GUESTS} guests, each once a second over its own kept connection; p50 ${quantile(samples, 0.5).toFixed(1)} ms, longest ${quantile(samples, 1).toFixed(0)} ms`,
  samples: summarise(samples),
});

/** The first guest's backup copies until the polls are over. */
const whileOneRuns = async (crowd: Crowd, countMs: number): Promise<number[]> => {
  const [first] = crowd.guests;
  if (first === undefined) throw new Error('there is no guest');
  crowd.host.pve.vzdumpFaults.copyMs = countMs + 2_000;
  await startBackup(first);
  const samples = await pollDue(crowd, EVERY_MS, countMs);
  await backupEnded(first);
  crowd.host.pve.vzdumpFaults.copyMs = 0;
  return samples;
};

export const due: Measure = {
  name: 'due',
  about: 'how long /backup/due takes while fifty guests poll',
  run: async ({ scope, quick, say }) => {
    const countMs = quick ? 10_000 : 30_000;
    const crowd = await startCrowd(scope);
    const rounds: Figure[] = [];
    say('one backup runs, all others are due');
    rounds.push(figureOf('one backup running', await whileOneRuns(crowd, countMs)));
    say('one guest has the offer, all others are due');
    rounds.push(figureOf('one slot offered', await pollDue(crowd, EVERY_MS, countMs)));
    say('a backup of each guest, then nothing is due');
    await backUpAll(crowd);
    rounds.push(figureOf('nothing due', await pollDue(crowd, EVERY_MS, countMs)));
    return rounds;
  },
};
