/** One connection to Redis: made on use and again after it was lost, and no answer is waited for without an end. */
import { createClient } from '@redis/client';
import { afterAwake } from '#shared/quiesce/awake';
import type { AppOf } from '#shared/quiesce/config';
import { systemClock } from '../clock.ts';

const CONNECT_MS = 3000;

/** Nobody listens: no server that could be held. */
export class NotThere extends Error {
  override readonly name = 'NotThere';
}

/** No answer in time. The server may still come to what it was asked. */
export class Silent extends Error {
  override readonly name = 'Silent';
}

/** After a freeze of the guest an answer that waits in the socket comes first. */
const within = <T>(ms: number, work: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const cancel = afterAwake(systemClock, ms, () => reject(new Silent(`Redis did not answer within ${ms / 1000} s`)));
    work.then(resolve, reject).finally(cancel);
  });

type Client = ReturnType<typeof newClient>;

/** The older protocol, and nothing told about ourselves: that takes no right of an ACL user beyond what is asked for. */
const newClient = ({ host, port, role }: AppOf<'redis'>, password: string | null) =>
  createClient({
    RESP: 2,
    disableClientInfo: true,
    ...(role === '' ? {} : { username: role }),
    ...(password === null ? {} : { password }),
    socket: {
      ...(host.startsWith('/') ? { path: host, tls: false } : { host, port }),
      connectTimeout: CONNECT_MS,
      reconnectStrategy: false,
    },
  });

const whereOf = ({ host, port }: AppOf<'redis'>): string => (host.startsWith('/') ? host : `${host}, port ${port}`);

/** The driver's errors, as sentences. What the server says about a wrong password does not repeat it. */
const connectProblem = (app: AppOf<'redis'>, error: unknown): Error => {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return new NotThere(`no Redis listens on ${whereOf(app)}`);
  if (code === 'EACCES' || code === 'EPERM')
    return new Error(`the socket ${whereOf(app)} may not be used by this account: name one that may as "user"`);
  if (error instanceof Silent) return error;
  if (/^(WRONGPASS|NOAUTH|ERR AUTH|NOPERM)/.test(message))
    return new Error(`Redis does not let us in: check "role" and "password_file" (${message})`);
  return new Error(`no connection to Redis on ${whereOf(app)}: ${message}`);
};

export interface Connection {
  /** @param ms how long the answer is waited for. One that comes too late leaves the connection: what was asked keeps its order. */
  ask(ms: number, ...args: string[]): Promise<unknown>;
  close(): void;
}

export const redisConnection = (app: AppOf<'redis'>, password: string | null): Connection => {
  let current: Promise<Client> | null = null;

  const connect = async (client: Client): Promise<Client> => {
    try {
      await within(CONNECT_MS, client.connect());
      return client;
    } catch (error) {
      if (client.isOpen) client.destroy();
      throw connectProblem(app, error);
    }
  };

  const open = (): Promise<Client> => {
    const client = newClient(app, password);
    const forget = () => {
      if (current === opened) current = null;
    };
    client.on('error', forget);
    client.on('end', forget);
    const opened = connect(client);
    opened.catch(forget);
    current = opened;
    return opened;
  };

  return {
    ask: async (ms, ...args) => {
      const client = await (current ?? open());
      return within(ms, client.sendCommand(args));
    },
    close: () => {
      void current?.then(
        (client) => client.isOpen && client.destroy(),
        () => undefined,
      );
      current = null;
    },
  };
};
