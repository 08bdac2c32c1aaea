/**
 * The load generator: raw TLS sockets, one request's bytes written again and again, answers counted by their Content-Length.
 * A process of its own, so that it never waits for anything else the bench does.
 */
import { setMaxListeners } from 'node:events';
import { answerQuestions } from './children.ts';
import { cpuSeconds } from './proc.ts';
import { onAnswer, open } from './raw.ts';

export interface LoadJob {
  /** `requests`: over connections that are kept. `connections`: a new one for each request. */
  kind: 'requests' | 'connections';
  port: number;
  /** One whole request. */
  request: string;
  /** How many at the same time, each with one request under way. */
  parallel: number;
  /** Before the counting begins. */
  warmMs: number;
  countMs: number;
  serverPid: number;
}

export interface LoadResult {
  answers: number;
  seconds: number;
  /** CPU seconds of either side while it was counted. */
  serverCpu: number;
  generatorCpu: number;
}

type Count = () => void;

/** Runs until `stopped`; rejects when the server refuses or closes. */
const keepAsking = async (job: LoadJob, count: Count, stopped: AbortSignal): Promise<void> => {
  const socket = await open(job.port);
  try {
    await new Promise<void>((resolve, reject) => {
      socket.on('error', reject);
      socket.once('close', () => reject(new Error('the server closed a kept connection')));
      stopped.addEventListener('abort', () => resolve());
      const next = () => {
        count();
        socket.write(job.request);
      };
      onAnswer(socket, next, reject);
      socket.write(job.request);
    });
  } finally {
    socket.destroy();
  }
};

const askOnce = async (job: LoadJob): Promise<void> => {
  const socket = await open(job.port);
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the server closed a connection without an answer')));
    onAnswer(socket, () => resolve(), reject);
    socket.write(job.request);
  }).finally(() => socket.destroy());
};

const keepConnecting = async (job: LoadJob, count: Count, stopped: AbortSignal): Promise<void> => {
  while (!stopped.aborted) {
    await askOnce(job);
    count();
  }
};

const LOOPS = { requests: keepAsking, connections: keepConnecting };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const readings = (serverPid: number, answers: number) => {
  const { user, system } = process.cpuUsage();
  return { answers, at: performance.now(), server: cpuSeconds(serverPid), generator: (user + system) / 1e6 };
};

const runJob = async (job: LoadJob): Promise<LoadResult> => {
  let answers = 0;
  const stopping = new AbortController();
  // One a connection.
  setMaxListeners(0, stopping.signal);
  const loops = Array.from({ length: job.parallel }, () => LOOPS[job.kind](job, () => (answers += 1), stopping.signal));
  const failed = Promise.all(loops).then(() => undefined);
  try {
    await Promise.race([failed, pause(job.warmMs)]);
    const before = readings(job.serverPid, answers);
    await Promise.race([failed, pause(job.countMs)]);
    const after = readings(job.serverPid, answers);
    return {
      answers: after.answers - before.answers,
      seconds: (after.at - before.at) / 1000,
      serverCpu: after.server - before.server,
      generatorCpu: after.generator - before.generator,
    };
  } finally {
    stopping.abort();
    await failed.catch(() => undefined);
  }
};

answerQuestions(runJob);
