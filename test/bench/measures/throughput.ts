/** Requests a second over kept connections, beside a bare Fastify server that sends the same bodies. */
import { startChild } from '../children.ts';
import { compare } from '../compare.ts';
import type { Figure } from '../figure.ts';
import type { Measure } from '../measure.ts';
import { requestBytes, startServers } from '../servers.ts';

const PATHS = ['/storage', '/identity'] as const;
/** Below the agent's limit of connections from one source. */
const CONNECTIONS = 16;

export const throughput: Measure = {
  name: 'throughput',
  about: 'requests/s with keep-alive, beside a bare Fastify TLS server',
  run: async ({ scope, quick, say }) => {
    const { servers, token } = await startServers(scope, PATHS);
    const generator = startChild(scope, 'load');
    const figures: Figure[] = [];
    for (const path of PATHS) {
      say(`${path} over ${CONNECTIONS} kept connections`);
      const load = {
        kind: 'requests' as const,
        request: requestBytes(path, token),
        parallel: CONNECTIONS,
        warmMs: 500,
        countMs: quick ? 1_000 : 2_000,
      };
      figures.push(...(await compare(generator, servers, { label: `GET ${path}`, load, rounds: quick ? 3 : 5 })));
    }
    return figures;
  },
};
