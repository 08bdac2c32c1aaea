/** Asks the running agent over its admin socket. */
import { request } from 'node:http';
import { type Endpoint, pathOf } from '#shared/endpoint';
import type { Envelope } from '#shared/envelope';
import { adminSocketPath } from '../config.ts';
import { CommandFailed } from './io.ts';
import { loadConfig } from './load-config.ts';

export interface AskOptions<Body, Query, Params> {
  /** Path of agent.yaml, which names the socket's directory. */
  config: string;
  params?: Params & Record<string, string>;
  query?: Query & Record<string, string>;
  body?: Body;
  /** How long the agent may take, where it is not a matter of seconds. */
  patienceMs?: number;
}

/** Longer than what the agent does for most answers. */
const PATIENCE_MS = 30_000;

export const ask = async <Reply, Body, Query, Params>(
  { method, path }: Endpoint<Reply, Body, Query, Params>,
  { config, params, query, body, patienceMs = PATIENCE_MS }: AskOptions<Body, Query, Params>,
): Promise<Reply> => {
  const { runtimeDir } = await loadConfig(config);
  const target = query === undefined ? pathOf(path, params) : `${pathOf(path, params)}?${new URLSearchParams(query)}`;
  const text = await exchange({ socketPath: adminSocketPath(runtimeDir), method, path: target, timeout: patienceMs }, body);
  const answer = JSON.parse(text) as Envelope<Reply>;
  if (answer.ok && answer.data !== null) return answer.data;
  throw new CommandFailed(answer.error);
};

interface Question {
  socketPath: string;
  method: string;
  path: string;
  /** Milliseconds. */
  timeout: number;
}

const exchange = (question: Question, body: unknown): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const call = request({ ...question, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', (error: NodeJS.ErrnoException) =>
      reject(new CommandFailed(unreachable(question.socketPath, error), { cause: error })),
    );
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });

const unreachable = (socketPath: string, { code, message }: NodeJS.ErrnoException): string => {
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return `The agent does not run: nothing answers on ${socketPath}. Start it with "systemctl start felhom-agent"; "journalctl -u felhom-agent" says why it ended.`;
  }
  if (code === 'EACCES' || code === 'EPERM') return 'Only root may ask the agent. Run this as root.';
  return `The agent did not answer on ${socketPath} (${code ?? message}). "journalctl -u felhom-agent" may say why.`;
};
