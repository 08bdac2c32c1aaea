/** A client of felhom-quiesced's socket that says what the test wants, right or wrong. */
import { connect, type Socket } from 'node:net';
import type { Answer, Replies, RequestOf, Verb } from '#shared/quiesce/protocol';

export interface QuiescedClient {
  socket: Socket;
  /** The answer as it comes. Rejects when the connection ends first. */
  ask<V extends Verb>(verb: V, data: RequestOf<V>): Promise<Answer<V>>;
  /** The data of a request that must be done; rejects with its code and sentence otherwise. */
  must<V extends Verb>(verb: V, data: RequestOf<V>): Promise<Replies[V]>;
  /** Bytes that need not be a request; the next answer, whichever id it has. */
  raw(bytes: string | Buffer): Promise<Answer>;
  /** `prepare` of all, then `hold` of these. */
  holdNow(apps: string[], hold?: Partial<RequestOf<'hold'>>): Promise<Replies['hold']>;
  close(): Promise<void>;
  ended: Promise<void>;
}

interface Waiting {
  /** Null: any. */
  id: number | null;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

export const connectQuiesced = async (path: string): Promise<QuiescedClient> => {
  const socket = connect(path);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  let lastId = 0;
  let rest = '';
  let waiting: Waiting[] = [];
  const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.on('error', () => undefined);
  void ended.then(() => {
    for (const { reject } of waiting) reject(new Error('the connection has ended'));
  });
  socket.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const answer = JSON.parse(line) as Answer;
      const [first] = waiting.filter(({ id }) => id === null || id === answer.id);
      waiting = waiting.filter((one) => one !== first);
      first?.resolve(answer);
    }
  });
  const wait = (id: number | null) => new Promise<Answer>((resolve, reject) => waiting.push({ id, resolve, reject }));

  const ask = <V extends Verb>(verb: V, data: RequestOf<V>): Promise<Answer<V>> => {
    const id = ++lastId;
    const answer = wait(id);
    socket.write(`${JSON.stringify({ id, verb, ...data })}\n`);
    return answer as Promise<Answer<V>>;
  };
  const must = async <V extends Verb>(verb: V, data: RequestOf<V>): Promise<Replies[V]> => {
    const answer = await ask(verb, data);
    if (!answer.ok) throw new Error(`${answer.code}: ${answer.error}`);
    return answer.data;
  };
  return {
    socket,
    ask,
    must,
    raw: (bytes) => {
      const answer = wait(null);
      socket.write(bytes);
      return answer;
    },
    holdNow: async (apps, hold = {}) => {
      await must('prepare', { apps: [], within_ms: 60_000 });
      return must('hold', { apps, hold_expected_ms: null, flush: false, ...hold });
    },
    close: async () => {
      socket.destroy();
      await ended;
    },
    ended,
  };
};
