/** The agent and bare servers, side by side: the same kind of key, the same bodies, the same flags of Node.js. */
import { makeLeaf } from '#agent/ports/certificate';
import { NODE_FLAGS } from '../demo/processes.ts';
import { call } from '../stranger/client.ts';
import type { BareOptions } from './bare-server.ts';
import { ask, startChild } from './children.ts';
import type { Server, Servers } from './compare.ts';
import { type BenchHost, startHost } from './host.ts';
import type { Scope } from './scope.ts';

export const requestBytes = (path: string, token: string, connection: 'keep-alive' | 'close' = 'keep-alive'): string =>
  [`GET ${path} HTTP/1.1`, 'Host: 127.0.0.1', `Authorization: Bearer ${token}`, `Connection: ${connection}`, '', ''].join('\r\n');

/** The guest's limits are not what is measured here. */
const LIMITS = { requests_per_second: 1_000_000, streams: 4 };

type Answers = BareOptions['answers'];

const answersOf = async ({ address }: BenchHost, paths: readonly string[]): Promise<Answers> => {
  const answers: Answers = {};
  for (const path of paths) {
    const { status, json } = await call(address, 'GET', path);
    if (status !== 200 || json.ok !== true) throw new Error(`${path} answered ${status}: ${JSON.stringify(json)}`);
    answers[path] = json;
  }
  return answers;
};

const startBare = async (scope: Scope, name: string, nodeFlags: readonly string[], options: BareOptions): Promise<Server> => {
  const child = startChild(scope, 'bare-server', nodeFlags);
  const { port } = await ask<BareOptions, { port: number }>(child, options);
  if (child.pid === undefined) throw new Error('the bare server could not be started');
  return { name, port, pid: child.pid };
};

/** The bare servers send, as objects through `reply.send`, exactly what the agent has answered to each path. */
export const startServers = async (scope: Scope, paths: readonly string[]): Promise<{ servers: Servers; token: string }> => {
  const host = await startHost(scope, { limits: LIMITS });
  const { key, certificate } = await makeLeaf('bench', ['127.0.0.1']);
  const options = { key, cert: certificate, answers: await answersOf(host, paths) };
  const servers = {
    agent: { name: 'agent', port: host.address.port, pid: host.agent.pid },
    bare: await startBare(scope, 'bare Fastify', NODE_FLAGS.agent, options),
    bareWithoutFlags: await startBare(scope, 'bare Fastify with the default heap', [], options),
  };
  return { servers, token: host.bootstrap.token };
};
