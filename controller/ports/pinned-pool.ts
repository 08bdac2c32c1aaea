/** A pool of connections to one address, each handed out only after its leaf certificate was compared. */
import { createRequire } from 'node:module';
import { isIPv6 } from 'node:net';
import { connect } from 'node:tls';
import type { Pool as UndiciPool } from 'undici';
import type { Bootstrap } from '#shared/bootstrap';
import { connectPinned } from '#shared/pin';

// The whole of undici costs 9 MB more than its pool and one call, in a process that may use 70.
const part = createRequire(import.meta.url);
const Pool = part('undici/lib/dispatcher/pool.js') as typeof UndiciPool;
const requestBy = part('undici/lib/api/api-request.js') as (
  this: UndiciPool,
  options: RequestOptions,
) => ReturnType<UndiciPool['request']>;

type RequestOptions = Parameters<UndiciPool['request']>[0];
export type PinnedPool = UndiciPool;

export const request = (pool: PinnedPool, options: RequestOptions): ReturnType<UndiciPool['request']> =>
  requestBy.call(pool, options);

const CONNECT_TIMEOUT_MS = 5000;
const MAX_ANSWER_BYTES = 1024 * 1024;

/** No connection: nothing of the request was sent. */
export class ConnectFailed extends Error {
  override readonly name = 'ConnectFailed';

  constructor(cause: unknown) {
    super('no connection to the agent', { cause });
  }
}

export type AgentAddress = Bootstrap['endpoints'][number];

const origin = ({ address, port }: AgentAddress): string => `https://${isIPv6(address) ? `[${address}]` : address}:${port}`;

/** Without time-outs of its own: they would fire first after a freeze, before the answer that waits is read. */
export const pinnedPool = (at: AgentAddress): PinnedPool =>
  new Pool(origin(at), {
    connections: 4,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxResponseSize: MAX_ANSWER_BYTES,
    connect: (_options, callback) => {
      const target = { host: at.address, port: at.port, fingerprints: at.fingerprints, timeoutMs: CONNECT_TIMEOUT_MS };
      connectPinned(connect, target).then(
        (socket) => callback(null, socket.setNoDelay(true).setKeepAlive(true, 30_000)),
        (error: unknown) => callback(new ConnectFailed(error), null),
      );
    },
  });
