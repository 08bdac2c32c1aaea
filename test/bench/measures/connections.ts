/** New TLS connections a second, one request each and no session resumed, beside a bare Fastify server with a key of the same kind. */
import { startChild } from '../children.ts';
import { compare } from '../compare.ts';
import type { Measure } from '../measure.ts';
import { requestBytes, startServers } from '../servers.ts';

const PATH = '/identity';
const PARALLEL = 8;

export const connections: Measure = {
  name: 'connections',
  about: 'new TLS connections/s, beside a bare Fastify TLS server',
  run: async ({ scope, quick, say }) => {
    const { servers, token } = await startServers(scope, [PATH]);
    say(`${PARALLEL} at a time, RSA 3072, no session resumed`);
    const load = {
      kind: 'connections' as const,
      request: requestBytes(PATH, token, 'close'),
      parallel: PARALLEL,
      warmMs: 500,
      countMs: quick ? 1_000 : 2_000,
    };
    return compare(startChild(scope, 'load'), servers, { label: 'new connections', load, rounds: quick ? 3 : 5 });
  },
};
