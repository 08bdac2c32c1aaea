/** How long `/backup/due` takes while fifty guests poll. */
import { backUpAll, backupEnded, GUESTS, poll, startCrowd, startOneOf } from '../crowd.ts';
import { atMost, type Figure, quantile, summarise } from '../figure.ts';
import type { Measure } from '../measure.ts';

/** Sixty times as often as controllers do, for samples enough. */
const EVERY_MS = 1000;
const BUDGET_MS = 50;

const described = (samples: readonly number[]): string =>
  `p50 ${quantile(samples, 0.5).toFixed(1)} ms, longest ${quantile(samples, 1).toFixed(0)} ms`;

/** `control`: a question that needs nothing but the token, asked in the same way just before. */
const figureOf = (when: string, samples: readonly number[], control: readonly number[]): Figure => ({
  name: `GET /backup/due, ${when}, p99`,
  value: quantile(samples, 0.99),
  unit: 'ms',
  budget: atMost(BUDGET_MS),
  note: `${GUESTS} guests, each once a second over its own kept connection; ${described(samples)}; GET /identity the same way: p99 ${quantile(control, 0.99).toFixed(1)} ms`,
  samples: summarise(samples),
});

export const due: Measure = {
  name: 'due',
  about: 'how long /backup/due takes while fifty guests poll',
  run: async ({ scope, quick, say }) => {
    const countMs = quick ? 10_000 : 30_000;
    const crowd = await startCrowd(scope);
    const { vzdumpFaults } = crowd.host.pve;
    const polled = async (when: string): Promise<Figure> => {
      say(when);
      const control = await poll(crowd, EVERY_MS, countMs / 2, '/identity');
      return figureOf(when, await poll(crowd, EVERY_MS, countMs), control);
    };
    // Copies until the polls are over.
    vzdumpFaults.copyMs = 2 * countMs;
    const guest = await startOneOf(crowd.guests);
    const running = await polled('one backup running');
    await backupEnded(guest);
    vzdumpFaults.copyMs = 0;
    const offered = await polled('one slot offered');
    say('a backup of each guest');
    await backUpAll(crowd);
    return [running, offered, await polled('nothing due')];
  },
};
