/** From the agent's start to its first answer. */
import { stop } from '../../demo/processes.ts';
import { atMost, quantile, summarise } from '../figure.ts';
import { prepareHost, startAgent } from '../host.ts';
import type { Measure } from '../measure.ts';

const BUDGET_MS = 3000;

export const start: Measure = {
  name: 'start',
  about: "from the agent's start to its first answer",
  run: async ({ scope, quick, say }) => {
    const { config, port } = await prepareHost(scope);
    const startOnce = async (): Promise<number> => {
      const { child, firstAnswerMs } = await startAgent(scope, config, port);
      await stop(child);
      return firstAnswerMs;
    };
    const first = await startOnce();
    const runs = quick ? 3 : 10;
    say(`${runs} starts`);
    const samples: number[] = [];
    while (samples.length < runs) samples.push(await startOnce());
    const summary = summarise(samples);
    return [
      {
        name: 'very first start to /healthz',
        value: first,
        unit: 'ms',
        note: 'makes the RSA key, the certificate and the database',
      },
      { name: 'start to /healthz, p50', value: quantile(samples, 0.5), unit: 'ms', note: `${runs} starts`, samples: summary },
      { name: 'start to /healthz, longest', value: summary.max, unit: 'ms', budget: atMost(BUDGET_MS), samples: summary },
    ];
  },
};
