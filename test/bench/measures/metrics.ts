/** How long `/host/metrics` takes, one question after the other over one kept connection. */
import { Agent, request } from 'node:https';
import { setTimeout as pause } from 'node:timers/promises';
import { quantile, summarise } from '../figure.ts';
import { startHost } from '../host.ts';
import type { Measure } from '../measure.ts';

/** Spread out, so that some questions meet readings that have grown too old to be given again. */
const PAUSE_MS = 50;

/** Milliseconds from the question to the last byte of its answer. */
const timed = (agent: Agent, port: number, token: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const before = performance.now();
    const sent = request({
      host: '127.0.0.1',
      port,
      path: '/host/metrics',
      agent,
      headers: { authorization: `Bearer ${token}` },
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      if (response.statusCode !== 200) reject(new Error(`/host/metrics answered ${response.statusCode}`));
      response.resume().once('end', () => resolve(performance.now() - before));
    });
    sent.end();
  });

export const metrics: Measure = {
  name: 'metrics',
  about: 'how long /host/metrics takes',
  run: async ({ scope, quick, say }) => {
    const { address, bootstrap } = await startHost(scope, { limits: { requests_per_second: 1_000, streams: 4 } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
    scope.defer(() => agent.destroy());
    // The very first one waits for a second sample of the processor's counters.
    const first = await timed(agent, address.port, bootstrap.token);
    const questions = quick ? 100 : 400;
    say(`${questions} questions, ${PAUSE_MS} ms between them`);
    const samples: number[] = [];
    while (samples.length < questions) {
      await pause(PAUSE_MS);
      samples.push(await timed(agent, address.port, bootstrap.token));
    }
    const summary = summarise(samples);
    return [
      {
        name: 'GET /host/metrics, p50',
        value: quantile(samples, 0.5),
        unit: 'ms',
        note: `${questions} questions one after the other, ${PAUSE_MS} ms between them; most are given readings of the last seconds`,
        samples: summary,
      },
      {
        name: 'GET /host/metrics, p99',
        value: quantile(samples, 0.99),
        unit: 'ms',
        note: `longest ${summary.max.toFixed(1)} ms; the first one after the start ${first.toFixed(0)} ms`,
        samples: summary,
      },
    ];
  },
};
