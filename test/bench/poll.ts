/**
 * Guests that poll: each over its own kept connection, at its own moments, and how long every answer took.
 * A process of its own, so that the simulator's work is not counted as the agent's.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { answerQuestions } from './children.ts';
import { onAnswer, open } from './raw.ts';

export interface PollJob {
  port: number;
  /** One whole request for each guest. */
  requests: string[];
  /** Between two questions of one guest. */
  everyMs: number;
  countMs: number;
}

export interface PollResult {
  /** Milliseconds from a question's first byte to its answer's last one. */
  samples: number[];
}

interface Connection {
  isOpen(): boolean;
  ask(request: string): Promise<void>;
  close(): void;
}

/** A connection over which one question at a time is asked. */
const connectTo = async (port: number): Promise<Connection> => {
  const socket = await open(port);
  let settle = (_error: Error | null): void => undefined;
  const check = (bytes: Buffer) =>
    settle(bytes.includes('"ok":true') ? null : new Error(`the agent refused: ${bytes.toString('utf8', bytes.length - 300)}`));
  onAnswer(socket, check, (error) => settle(error));
  socket.on('error', (error) => settle(error));
  socket.once('close', () => settle(new Error('the server closed a connection without an answer')));
  return {
    isOpen: () => !socket.destroyed && socket.readable,
    ask: (request) =>
      new Promise((resolve, reject) => {
        settle = (error) => (error === null ? resolve() : reject(error));
        socket.write(request);
      }),
    close: () => void socket.destroy(),
  };
};

/** One guest. It connects when it asks first, and again where the agent has closed what was idle; that is not measured. */
const poll = async ({ port, everyMs, countMs }: PollJob, request: string, offsetMs: number): Promise<number[]> => {
  const samples: number[] = [];
  const began = performance.now();
  let connection: Connection | null = null;
  try {
    for (let at = offsetMs; at < countMs; at += everyMs) {
      await pause(Math.max(0, began + at - performance.now()));
      if (!connection?.isOpen()) connection = await connectTo(port);
      const before = performance.now();
      await connection.ask(request);
      samples.push(performance.now() - before);
    }
  } finally {
    connection?.close();
  }
  return samples;
};

const runJob = async (job: PollJob): Promise<PollResult> => {
  const { requests, everyMs } = job;
  const guests = requests.map((request, index) => poll(job, request, (index * everyMs) / requests.length));
  return { samples: (await Promise.all(guests)).flat() };
};

answerQuestions(runJob);
