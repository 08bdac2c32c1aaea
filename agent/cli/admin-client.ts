/** Asks the running agent over its admin socket. */
import { request } from 'node:http';
import { type Endpoint, pathOf } from '#shared/endpoint';
import type { Envelope } from '#shared/envelope';
import { adminSocketPath } from '../config.ts';
import { CommandFailed } from './io.ts';
import { loadConfig } from './load-config.ts';

export interface AskOptions<Body, Params> {
  /** Path of agent.yaml, which names the socket's directory. */
  config: string;
  params?: Params & Record<string, string>;
  body?: Body;
}

/** Longer than anything that the agent does for an answer. */
const TIMEOUT_MS = 30_000;

export const ask = async <Reply, Body, Params>(
  { method, path }: Endpoint<Reply, Body, undefined, Params>,
  { config, params, body }: AskOptions<Body, Params>,
): Promise<Reply> => {
  const { runtimeDir } = await loadConfig(config);
  const text = await exchange(adminSocketPath(runtimeDir), method, pathOf(path, params), body);
  const answer = JSON.parse(text) as Envelope<Reply>;
  if (answer.ok && answer.data !== null) return answer.data;
  throw new CommandFailed(answer.error);
};

const exchange = (socketPath: string, method: string, path: string, body: unknown): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const call = request({ socketPath, method, path, headers, timeout: TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    call.on('timeout', () => call.destroy(new Error('no answer in time')));
    call.on('error', (error: NodeJS.ErrnoException) =>
      reject(new CommandFailed(unreachable(socketPath, error), { cause: error })),
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
