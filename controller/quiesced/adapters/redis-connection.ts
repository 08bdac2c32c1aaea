/**
 * One connection to Redis: made on use and again after it was lost, and no answer is waited for without an end. Of the driver only
 * what reads answers is loaded: its commands, cluster and Sentinel would take 16 MB of a child that sends nine commands.
 */
import { connect, type Socket } from 'node:net';
import { ErrorReply } from '@redis/client/dist/lib/errors.js';
import { Decoder } from '@redis/client/dist/lib/RESP/decoder.js';
import type { AppOf } from '#shared/quiesce/config';
import { within } from './within.ts';

const CONNECT_MS = 3000;

/** What the server answers to a command that it does not run. */
export { ErrorReply };

/** Nobody listens: no server that could be held. */
export class NotThere extends Error {
  override readonly name = 'NotThere';
}

/** No answer in time. The server may still come to what it was asked. */
export class Silent extends Error {
  override readonly name = 'Silent';
}

const inTime = <T>(ms: number, work: Promise<T>): Promise<T> =>
  within(ms, work, new Silent(`Redis did not answer within ${ms / 1000} s`));

interface Wire {
  /** Answers come in the order of the commands. */
  send(args: readonly string[]): Promise<unknown>;
  end(): void;
}

interface Waiting {
  resolve(reply: unknown): void;
  reject(error: Error): void;
}

/** An array of strings, each with its length before it. https://redis.io/docs/latest/develop/reference/protocol-spec/ */
const encode = (args: readonly string[]): string =>
  `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`).join('')}`;

const wireOn = (socket: Socket, lost: () => void): Wire => {
  const waiting: Waiting[] = [];
  const decoder = new Decoder({
    onReply: (reply: unknown) => waiting.shift()?.resolve(reply),
    onErrorReply: (error) => waiting.shift()?.reject(error),
    onPush: () => undefined,
    getTypeMapping: () => ({}),
  });
  socket.on('data', (chunk) => {
    try {
      decoder.write(chunk);
    } catch {
      socket.destroy();
    }
  });
  socket.on('close', () => {
    lost();
    for (const { reject } of waiting.splice(0)) reject(new Error('Redis has closed the connection'));
  });
  return {
    send: (args) =>
      new Promise((resolve, reject) => {
        if (socket.destroyed) return reject(new Error('Redis has closed the connection'));
        waiting.push({ resolve, reject });
        socket.write(encode(args));
      }),
    end: () => socket.destroy(),
  };
};

const whereOf = ({ host, port }: AppOf<'redis'>): string => (host.startsWith('/') ? host : `${host}, port ${port}`);

/** As sentences. What the server says about a wrong password does not repeat it. */
const connectProblem = (app: AppOf<'redis'>, error: unknown): Error => {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED' || code === 'ENOENT') return new NotThere(`no Redis listens on ${whereOf(app)}`);
  if (code === 'EACCES' || code === 'EPERM')
    return new Error(`the socket ${whereOf(app)} may not be used by this account: name one that may as "user"`);
  if (error instanceof Silent) return error;
  if (error instanceof ErrorReply) return new Error(`Redis does not let us in: check "role" and "password_file" (${message})`);
  return new Error(`no connection to Redis on ${whereOf(app)}: ${message}`);
};

const dial = ({ host, port }: AppOf<'redis'>): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = host.startsWith('/') ? connect(host) : connect({ host, port });
    socket.once('connect', () => resolve(socket));
    socket.on('error', reject);
    socket.setTimeout(CONNECT_MS, () => socket.connecting && socket.destroy(new Error('it does not answer')));
  });

export interface Connection {
  /** @param ms how long the answer is waited for. One that comes too late leaves the connection: what was asked keeps its order. */
  ask(ms: number, ...args: string[]): Promise<unknown>;
  close(): void;
}

export const redisConnection = (app: AppOf<'redis'>, password: string | null): Connection => {
  let current: Promise<Wire> | null = null;
  const login = password === null && app.role === '' ? null : ['AUTH', ...(app.role === '' ? [] : [app.role]), password ?? ''];

  const enter = async (lost: () => void): Promise<Wire> => {
    let wire: Wire | null = null;
    try {
      wire = wireOn(await dial(app), lost);
      if (login !== null) await inTime(CONNECT_MS, wire.send(login));
      return wire;
    } catch (error) {
      wire?.end();
      lost();
      throw connectProblem(app, error);
    }
  };

  const open = (): Promise<Wire> => {
    const opened: Promise<Wire> = enter(() => {
      if (current === opened) current = null;
    });
    current = opened;
    return opened;
  };

  return {
    ask: async (ms, ...args) => {
      const wire = await (current ?? open());
      return inTime(ms, wire.send(args));
    },
    close: () => {
      void current?.then(
        (wire) => wire.end(),
        () => undefined,
      );
      current = null;
    },
  };
};
