/** How requests travel to pveproxy: pinned TLS, token in the header, what is retried, and what an answer means. */
import { createRequire } from 'node:module';
import { connect as tlsConnect } from 'node:tls';
import type { buildConnector, Dispatcher, Client as UndiciClient, Pool as UndiciPool } from 'undici';
import { type Clock, sleep } from '#shared/clock';
import { connectPinned, PinMismatch } from '#shared/pin';
import { ProxmoxError } from './proxmox.ts';

// The whole of undici costs 9 MB more than these parts, in a process that may use 75.
const part = createRequire(import.meta.url);
const Pool = part('undici/lib/dispatcher/pool.js') as typeof UndiciPool;
const Client = part('undici/lib/dispatcher/client.js') as typeof UndiciClient;
const requestBy = part('undici/lib/api/api-request.js') as (
  this: Dispatcher,
  options: Dispatcher.RequestOptions,
) => Promise<Dispatcher.ResponseData>;

export interface TransportOptions {
  /** `https://127.0.0.1:8006` */
  endpoint: string;
  /** `user@realm!name=uuid` */
  token: string;
  /** SHA-256 of the leaf certificate, 64 lower-case hex digits each. Asked again after a mismatch: the file may have been renewed. */
  fingerprints: () => Promise<readonly string[]>;
  clock: Clock;
  timeouts?: Partial<Timeouts>;
}

export interface Timeouts {
  connectMs: number;
  /** One try of a GET. Well above the 3 s by which pveproxy delays every 401. */
  getMs: number;
  /** All tries of a GET together. */
  getTotalMs: number;
  /** Whatever changes something waits longer than pveproxy does (30 s), so that its 596 is heard. */
  postMs: number;
}
const TIMEOUTS: Timeouts = { connectMs: 4000, getMs: 6000, getTotalMs: 9000, postMs: 35_000 };

const MAX_BODY_BYTES = 8 * 1024 * 1024;
const TRIES = 3;
const BACK_OFF_MS = 250;

export interface Transport {
  /** The answer's `data`. Tried up to three times; `limits` for calls that may take long. */
  get(path: string, query?: Record<string, string | number>, limits?: Partial<Timeouts>): Promise<unknown>;
  /** Sent once, on a connection of its own; so are the two below. */
  post(path: string, form: Record<string, string | number>): Promise<unknown>;
  put(path: string, form: Record<string, string | number>): Promise<unknown>;
  /** Its parameters go into the query: pveproxy refuses a DELETE with a body (501). */
  delete(path: string, query?: Record<string, string | number>): Promise<unknown>;
  close(): Promise<void>;
}

interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  path: string;
  body?: string;
}

interface Answer {
  status: number;
  reason: string;
  text: string;
}

export const createTransport = ({ endpoint, token, fingerprints, clock, timeouts }: TransportOptions): Transport => {
  const limits = { ...TIMEOUTS, ...timeouts };
  const secret = token.slice(token.indexOf('=') + 1);
  const connector = pinnedConnector(fingerprints, limits.connectMs);
  // pveproxy drops an idle connection after 5 s (AnyEvent.pm, `timeout`); ours goes first.
  const keepAlive = { keepAliveTimeout: 2000, keepAliveMaxTimeout: 2000 };
  const pool = new Pool(endpoint, { connect: connector.connect, connections: 6, maxResponseSize: MAX_BODY_BYTES, ...keepAlive });

  const send = async (over: Dispatcher, call: Call, timeoutMs: number): Promise<Answer> => {
    const { statusCode, statusText, body } = await requestBy.call(over, {
      method: call.method,
      path: `/api2/json${call.path}`,
      headers: {
        authorization: `PVEAPIToken=${token}`,
        ...(call.body === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      body: call.body ?? null,
      signal: AbortSignal.timeout(Math.ceil(timeoutMs)),
    });
    return { status: statusCode, reason: statusText, text: await body.text() };
  };

  const once = async (over: Dispatcher, call: Call, timeoutMs: number, sent: () => boolean): Promise<unknown> => {
    const answer = await send(over, call, timeoutMs).catch((error: unknown) => {
      throw unanswered(call, error, sent() ? 'unknown' : 'never');
    });
    return dataOf(call, answer, secret);
  };

  const get: Transport['get'] = async (path, query, own) => {
    const { getMs, getTotalMs } = { ...limits, ...own };
    const call: Call = { method: 'GET', path: withQuery(path, query) };
    const end = performance.now() + getTotalMs;
    for (let tries = 1; ; tries += 1) {
      const left = end - performance.now();
      try {
        return await once(pool, call, Math.max(1, Math.min(getMs, left)), () => true);
      } catch (error) {
        const again = error instanceof ProxmoxError && worthRetrying(error) && tries < TRIES;
        if (!again || end - performance.now() < 2 * BACK_OFF_MS * tries) throw error;
        await sleep(clock, BACK_OFF_MS * tries);
      }
    }
  };

  const change = async (call: Call): Promise<unknown> => {
    let connected = false;
    const connect: buildConnector.connector = (options, callback) =>
      connector.connect(options, (...outcome) => {
        connected ||= outcome[0] === null;
        callback(...outcome);
      });
    // pipelining 0: `connection: close`, so no other request ever shares this connection.
    const client = new Client(endpoint, { connect, pipelining: 0, maxResponseSize: MAX_BODY_BYTES });
    try {
      return await once(client, call, limits.postMs, () => connected);
    } finally {
      await client.destroy();
    }
  };

  return {
    get,
    post: (path, form) => change({ method: 'POST', path, body: encode(form) }),
    put: (path, form) => change({ method: 'PUT', path, body: encode(form) }),
    delete: (path, query) => change({ method: 'DELETE', path: withQuery(path, query) }),
    close: () => pool.destroy(),
  };
};

/** Gives undici a socket only when the leaf is the pinned one. */
const pinnedConnector = (fingerprints: TransportOptions['fingerprints'], timeoutMs: number) => {
  let pins: readonly string[] | null = null;
  const open = async (host: string, port: number) => {
    const target = { host, port, timeoutMs };
    const known = pins;
    pins ??= await fingerprints();
    try {
      return await connectPinned(tlsConnect, { ...target, fingerprints: pins });
    } catch (error) {
      if (!(error instanceof PinMismatch)) throw error;
      pins = null;
      if (known === null) throw error;
      const fresh = await fingerprints();
      const socket = await connectPinned(tlsConnect, { ...target, fingerprints: fresh });
      pins = fresh;
      return socket;
    }
  };
  const connect: buildConnector.connector = ({ hostname, port }, callback) => {
    open(hostname.replace(/^\[|\]$/g, ''), Number(port) || 443).then(
      (socket) => callback(null, socket.setNoDelay(true)),
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), null),
    );
  };
  return { connect };
};

const withQuery = (path: string, query?: Record<string, string | number>): string => (query ? `${path}?${encode(query)}` : path);

const encode = (values: Record<string, string | number>): string =>
  new URLSearchParams(Object.entries(values).map(([key, value]): [string, string] => [key, String(value)])).toString();

/** The daemon was not reached, or the answer is not the API's: another try may meet a better moment. */
const worthRetrying = ({ status, effect, cause }: ProxmoxError): boolean => {
  if (cause instanceof PinMismatch) return false;
  return status === 0 || status === 595 || (effect === 'unknown' && (status >= 500 || status === 200));
};

const unanswered = (call: Call, cause: unknown, effect: 'never' | 'unknown'): ProxmoxError => {
  const late = cause instanceof Error && cause.name === 'TimeoutError';
  const message =
    cause instanceof PinMismatch
      ? 'Proxmox showed a certificate that is not the pinned one.'
      : late
        ? 'Proxmox did not answer in time.'
        : `Proxmox could not be reached: ${reasonOf(cause)}`;
  return new ProxmoxError({ method: call.method, path: call.path, status: 0, message, effect, cause });
};

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  return error.message || String((error as NodeJS.ErrnoException).code ?? error.name);
};

interface Envelope {
  data: unknown;
  message?: unknown;
  errors?: unknown;
}

const envelopeOf = (text: string): Envelope | null => {
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null && 'data' in parsed ? (parsed as Envelope) : null;
  } catch {
    return null;
  }
};

/** `data` of a 200. Servers before libpve-http-server-perl 5.2.0 carry the message in the reason phrase only. */
const dataOf = (call: Call, { status, reason, text }: Answer, secret: string): unknown => {
  const envelope = envelopeOf(text);
  if (status === 200 && envelope) return envelope.data;
  const said = typeof envelope?.message === 'string' ? envelope.message.trim() : '';
  const message = status === 200 ? 'Proxmox gave an answer that is not JSON.' : said || reason || `HTTP ${status}`;
  throw new ProxmoxError({
    method: call.method,
    path: call.path,
    status,
    message: message.replaceAll(secret, '***').slice(0, 2000),
    errors: errorsOf(envelope?.errors),
    effect: effectOf(status, envelope !== null),
  });
};

/** What an answer that is no success says about the request's effect (facts: pveproxy's 596 comes while the work goes on). */
const effectOf = (status: number, isJson: boolean): 'never' | 'unknown' => {
  if (status >= 300 && status < 500) return 'never';
  if (status === 501 || status === 595) return 'never';
  return status >= 500 && status < 595 && isJson ? 'never' : 'unknown';
};

const errorsOf = (errors: unknown): Record<string, string> => {
  if (typeof errors !== 'object' || errors === null) return {};
  return Object.fromEntries(Object.entries(errors).map(([key, text]) => [key, String(text).trim()]));
};
