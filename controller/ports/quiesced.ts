/** felhom-quiesced, over its Unix socket: one connection is one attempt, and when it is closed whatever is held is let go. */
import { connect, type Socket } from 'node:net';
import type { Clock } from '#shared/clock';
import { afterAwake } from '#shared/quiesce/awake';
import { plainText } from '#shared/quiesce/plain-text';
import { MOST_LINE_BYTES, type Refusal, type Replies, type RequestOf, type Verb } from '#shared/quiesce/protocol';

/**
 * Beside quiesced's own refusals. `unreachable`: nobody listens. `forbidden`: this user may not connect. `closed`: the connection
 * is gone, and with it every hold. `timeout`: no answer in time. `unreadable`: not its protocol. `cancelled`: the caller gave up.
 */
export type QuiescedFailure = Refusal | 'unreachable' | 'forbidden' | 'closed' | 'timeout' | 'unreadable' | 'cancelled';

export type Answered<T> = { ok: true; data: T } | { ok: false; code: QuiescedFailure; error: string };

interface CallOptions {
  timeoutMs: number;
  signal?: AbortSignal;
}

export interface Quiesced {
  /** Never rejects. An answer that comes after its time-out is dropped. */
  call<V extends Verb>(verb: V, request: RequestOf<V>, options: CallOptions): Promise<Answered<Replies[V]>>;
  isOpen(): boolean;
  /** Lets go. */
  close(): void;
}

export type ConnectQuiesced = (signal?: AbortSignal) => Promise<Answered<Quiesced>>;

const CONNECT_MS = 3000;

const failed = (code: QuiescedFailure, error: string): { ok: false; code: QuiescedFailure; error: string } => ({
  ok: false,
  code,
  error: plainText(error),
});
const GONE = 'felhom-quiesced has ended the connection; nothing is held any more.';
const UNREADABLE = 'felhom-quiesced answered something that is not its protocol.';

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;
/** What this program reads of a reply is there; the rest is the other program's word. */
const isReply = (data: unknown): boolean =>
  isObject(data) &&
  (data.apps === undefined ||
    (Array.isArray(data.apps) && data.apps.every((one) => isObject(one) && typeof (one.app ?? one.name) === 'string')));

const parseLine = (line: string): { id: number; answer: Answered<never> } | null => {
  try {
    const value: unknown = JSON.parse(line);
    if (!isObject(value) || typeof value.id !== 'number') return null;
    const { id, ok, data, code, error } = value;
    if (ok === true && isReply(data)) return { id, answer: { ok: true, data: data as never } };
    if (ok === false && typeof code === 'string') return { id, answer: failed(code as Refusal, String(error)) };
  } catch {
    // Not JSON at all.
  }
  return null;
};

const over = (socket: Socket, clock: Clock): Quiesced => {
  const waiting = new Map<number, (answer: Answered<never>) => void>();
  let lastId = 0;
  let unread = '';
  let ended: Answered<never> | null = null;

  const end = (why: Answered<never>): void => {
    ended ??= why;
    socket.destroy();
    for (const answer of [...waiting.values()]) answer(ended);
  };
  const take = (line: string): void => {
    const read = parseLine(line);
    if (read === null) end(failed('unreadable', UNREADABLE));
    else waiting.get(read.id)?.(read.answer);
  };
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (unread + text).split('\n');
    unread = lines.pop() ?? '';
    for (const line of lines) take(line);
    if (Buffer.byteLength(unread) > MOST_LINE_BYTES) end(failed('unreadable', UNREADABLE));
  });
  socket.on('error', () => undefined);
  socket.on('close', () => end(failed('closed', GONE)));

  return {
    call: (verb, request, { timeoutMs, signal }) => {
      if (ended) return Promise.resolve(ended);
      if (signal?.aborted) return Promise.resolve(failed('cancelled', 'The call was given up.'));
      lastId += 1;
      const id = lastId;
      return new Promise((resolve) => {
        const giveUp = () => settle(failed('cancelled', 'The call was given up.'));
        const settle = (answer: Answered<never>): void => {
          cancel();
          waiting.delete(id);
          signal?.removeEventListener('abort', giveUp);
          resolve(answer);
        };
        // Late after a freeze: what waits in the socket is read first.
        const cancel = afterAwake(clock, timeoutMs, () =>
          settle(failed('timeout', `felhom-quiesced did not answer within ${timeoutMs / 1000} s.`)),
        );
        waiting.set(id, settle);
        signal?.addEventListener('abort', giveUp, { once: true });
        socket.write(`${JSON.stringify({ id, verb, ...request })}\n`);
      });
    },
    isOpen: () => ended === null,
    close: () => end(failed('closed', 'The connection to felhom-quiesced is closed.')),
  };
};

const whyNot = (path: string, { code }: NodeJS.ErrnoException) =>
  code === 'EACCES' || code === 'EPERM'
    ? failed('forbidden', `This user may not talk to felhom-quiesced (${path}).`)
    : failed('unreachable', `felhom-quiesced cannot be reached at ${path} (${code ?? 'no answer'}).`);

/** @param path of its socket */
export const quiescedAt =
  (path: string, clock: Clock): ConnectQuiesced =>
  (signal) =>
    new Promise((resolve) => {
      const socket = connect(path);
      const settle = (answer: Answered<Quiesced>): void => {
        cancel();
        signal?.removeEventListener('abort', giveUp);
        socket.removeListener('error', refuse);
        if (!answer.ok) socket.on('error', () => undefined).destroy();
        resolve(answer);
      };
      const giveUp = () => settle(failed('cancelled', 'The call was given up.'));
      const refuse = (error: Error) => settle(whyNot(path, error));
      const cancel = afterAwake(clock, CONNECT_MS, () => settle(whyNot(path, { code: 'ETIMEDOUT' } as NodeJS.ErrnoException)));
      socket.once('error', refuse);
      socket.once('connect', () => settle({ ok: true, data: over(socket, clock) }));
      signal?.addEventListener('abort', giveUp, { once: true });
    });

const STATUS_MS = 5000;

/** What it says of itself, on a connection of its own. */
export const askStatus = async (connectTo: ConnectQuiesced): Promise<Answered<Replies['status']>> => {
  const connected = await connectTo();
  if (!connected.ok) return connected;
  const answer = await connected.data.call('status', {}, { timeoutMs: STATUS_MS });
  connected.data.close();
  return answer;
};
