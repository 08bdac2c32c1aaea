/** The pinned client: calls any endpoint of the wire contract, at any of the agent's addresses, and believes nothing unchecked. */
import type { Bootstrap } from '#shared/bootstrap';
import type { Clock } from '#shared/clock';
import { type AnyEndpoint, type Endpoint, pathOf } from '#shared/endpoint';
import { PinMismatch } from '#shared/pin';
import { afterAwake } from '#shared/quiesce/awake';
import { AgentError, ownError } from './agent-error.ts';
import { readAnswer } from './answer.ts';
import type { BootstrapSource, Trust } from './bootstrap.ts';
import { ConnectFailed, type PinnedPool, pinnedPool, request } from './pinned-pool.ts';

export type Where = Pick<Bootstrap, 'vmid' | 'endpoints'>;

interface CallOptions<Body, Query, Params> {
  body?: Body;
  query?: Query;
  params?: Params;
  signal?: AbortSignal;
  timeoutMs?: number;
  /** Called before the reply is returned, with the host's time of its answer; not where the answer does not say it. */
  onHostTime?: (ms: number) => void;
}

export interface AgentClient {
  /** @throws AgentError */
  call<Reply, Body, Query, Params>(
    endpoint: Endpoint<Reply, Body, Query, Params>,
    options?: CallOptions<Body, Query, Params>,
  ): Promise<Reply>;
  /** Where the agent is and what it is pinned by; never the token. @throws AgentError */
  where(): Promise<Where>;
  close(): Promise<void>;
}

export interface ClientPorts {
  source: BootstrapSource;
  clock: Clock;
  /** Null: the header is left out and the agent checks nothing. */
  instance: string | null;
}

/** Longer than the agent holds anything back. */
const TIMEOUT_MS = 15_000;

type Options = CallOptions<unknown, unknown, unknown>;
interface Answer {
  status: number;
  text: string;
  /** Its Date header; NaN without one. */
  hostTime: number;
}

const target = (endpoint: AnyEndpoint, { params, query }: Options): string => {
  const search = new URLSearchParams((query ?? {}) as Record<string, string>).toString();
  return pathOf(endpoint.path, (params ?? {}) as Record<string, string>) + (search === '' ? '' : `?${search}`);
};

/** Aborts when the caller does, or after the time-out; `signal.reason` says which. */
const limit = (clock: Clock, { signal, timeoutMs = TIMEOUT_MS }: Options) => {
  const controller = new AbortController();
  const giveUp = () => controller.abort(ownError('cancelled'));
  const cancel = afterAwake(clock, timeoutMs, () =>
    controller.abort(ownError('agent-unreachable', new Error(`no answer within ${timeoutMs} ms`))),
  );
  if (signal?.aborted) giveUp();
  signal?.addEventListener('abort', giveUp, { once: true });
  const done = () => {
    cancel();
    signal?.removeEventListener('abort', giveUp);
  };
  return { signal: controller.signal, done };
};

/** What could not be sent anywhere: a wrong certificate is the worse news. */
const noneReached = (failures: ConnectFailed[]): AgentError => {
  const mismatch = failures.find(({ cause }) => cause instanceof PinMismatch);
  return mismatch ? ownError('agent-pin-mismatch', mismatch.cause) : ownError('agent-unreachable', failures.at(-1)?.cause);
};

/** The host may have pushed another bootstrap file since. */
const mayBeOutdated = (error: unknown): boolean =>
  error instanceof AgentError && (error.code === 'agent-pin-mismatch' || error.code.startsWith('token-'));

export const createAgentClient = ({ source, clock, instance }: ClientPorts): AgentClient => {
  let generation = 0;
  let pools: PinnedPool[] = [];
  /** The address that worked last is tried first. */
  let first = 0;

  const poolsFor = (trust: Trust): PinnedPool[] => {
    if (trust.generation === generation && pools.length > 0) return pools;
    // What is under way on the old ones may end.
    for (const old of pools) void old.close().catch(() => undefined);
    generation = trust.generation;
    first = 0;
    pools = trust.bootstrap.endpoints.map(pinnedPool);
    return pools;
  };

  const send = async (pool: PinnedPool, { bootstrap }: Trust, endpoint: AnyEndpoint, options: Options): Promise<Answer> => {
    const { statusCode, headers, body } = await request(pool, {
      method: endpoint.method,
      path: target(endpoint, options),
      headers: {
        authorization: `Bearer ${bootstrap.token}`,
        accept: 'application/json',
        ...(instance === null ? {} : { 'felhom-instance': instance }),
        ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: options.body === undefined ? null : JSON.stringify(options.body),
      signal: options.signal ?? null,
    });
    return { status: statusCode, text: await body.text(), hostTime: Date.parse(String(headers.date)) };
  };

  /** A kept-alive connection that the agent has just closed: a GET is simply asked again, on another. */
  const sendGetTwice: typeof send = async (...args) => {
    try {
      return await send(...args);
    } catch (error) {
      const again = args[2].method === 'GET' && !(error instanceof ConnectFailed) && !args[3].signal?.aborted;
      if (!again || (error as { code?: string }).code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') throw error;
      return send(...args);
    }
  };

  /** Tries the addresses in order. Only what was surely not sent is sent to the next. */
  const sendSomewhere = async (trust: Trust, endpoint: AnyEndpoint, options: Options): Promise<Answer> => {
    const all = poolsFor(trust);
    const order = [first, ...all.keys()].filter((index, at, list) => index < all.length && list.indexOf(index) === at);
    const failures: ConnectFailed[] = [];
    for (const index of order) {
      try {
        const answer = await sendGetTwice(all[index] as PinnedPool, trust, endpoint, options);
        first = index;
        return answer;
      } catch (error) {
        if (!(error instanceof ConnectFailed)) throw error;
        failures.push(error);
      }
    }
    throw noneReached(failures);
  };

  const attempt = async (trust: Trust, endpoint: AnyEndpoint, options: Options): Promise<unknown> => {
    const { signal, done } = limit(clock, options);
    try {
      const { status, text, hostTime } = await sendSomewhere(trust, endpoint, { ...options, signal });
      if (!Number.isNaN(hostTime)) options.onHostTime?.(hostTime);
      return readAnswer(endpoint, status, text);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof AgentError) throw error;
      const tooLarge = (error as { code?: string }).code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE';
      throw ownError(tooLarge ? 'agent-answer-unreadable' : 'agent-unreachable', error);
    } finally {
      done();
    }
  };

  const call = async (endpoint: AnyEndpoint, options: Options = {}): Promise<unknown> => {
    const trust = await source.current();
    try {
      return await attempt(trust, endpoint, options);
    } catch (error) {
      if (!mayBeOutdated(error)) throw error;
      const fresh = await source.reread();
      if (fresh.generation === trust.generation) throw error;
      return attempt(fresh, endpoint, options);
    }
  };

  return {
    call: call as AgentClient['call'],
    where: async () => {
      const { vmid, endpoints } = (await source.current()).bootstrap;
      return { vmid, endpoints };
    },
    close: async () => {
      await Promise.all(pools.map((pool) => pool.destroy().catch(() => undefined)));
      pools = [];
    },
  };
};
