/** An agent over real TLS that answers the calls of drives as a test has written it down, and a person who types what it says. */
import type { ServerResponse } from 'node:http';
import { refuse } from '#agent/http/answer';
import type { FlowPorts, Talk } from '#controller/disks/flow';
import type { Clock } from '#shared/clock';
import type { AnyEndpoint } from '#shared/endpoint';
import { type ErrorCode, FelhomError, type RefusalDetails } from '#shared/errors';
import { assignDisk, type Disk, ejectDisk, formatDisk, listDisks } from '#shared/wire/disks';
import { getJob } from '#shared/wire/jobs';
import { grantOp, listOps } from '#shared/wire/ops';
import { listing } from '../unit/controller/disks/samples.ts';
import { bootstrapOf, envelope, later, makeLeaf, startAgent, startClient } from './controller-agent.ts';

export interface Scripted {
  status: number;
  text: string;
  /** The connection ends without an answer. */
  cut?: true;
  /** There is never an answer. */
  silent?: true;
}

export const says = (data: unknown, status = 200): Scripted => ({ status, text: envelope(data) });
export const cut: Scripted = { status: 0, text: '', cut: true };
export const silent: Scripted = { status: 0, text: '', silent: true };

const ENDPOINTS = {
  'GET /disks': listDisks,
  'POST /disks/assign': assignDisk,
  'POST /disks/eject': ejectDisk,
  'POST /disks/format': formatDisk,
  'GET /ops': listOps,
} as const satisfies Record<string, AnyEndpoint>;
type Line = keyof typeof ENDPOINTS;
const JOB = /^GET \/jobs\//;
const GRANT = /^POST \/ops\/.*\/grant$/;

/** A refusal exactly as the real agent's server writes it. */
export const refuses = (
  line: Line | 'job' | 'grant',
  code: ErrorCode,
  sentence: string,
  details: RefusalDetails = {},
): Scripted =>
  refuse({
    endpoint: line === 'job' ? getJob : line === 'grant' ? grantOp : ENDPOINTS[line],
    fault: new FelhomError(code, sentence, undefined, details),
    vmid: 101,
    body: { device: 'sdc' },
  });

export interface Script {
  disks: Disk[];
  /** One an answer; the last one stays. */
  answers: Partial<Record<Line | 'job' | 'grant', Scripted[]>>;
}

const send = (response: ServerResponse, { status, text, cut: isCut, silent: isSilent }: Scripted): void => {
  if (isSilent) return;
  if (isCut) return void response.socket?.destroy();
  response.writeHead(status, { 'content-type': 'application/json' }).end(text);
};

const keyOf = (line: string): Line | 'job' | 'grant' => (JOB.test(line) ? 'job' : GRANT.test(line) ? 'grant' : (line as Line));

const leaf = makeLeaf();

/** @param pace how many times quicker than in life whoever waits between two calls waits */
export const quick = (pace = 1000): Clock => ({
  now: () => Date.now(),
  monotonic: () => performance.now() * pace,
  after: (ms, call) => {
    const timer = setTimeout(call, ms / pace);
    return () => clearTimeout(timer);
  },
});

export interface Played {
  /** stdout, a line each. */
  out: string[];
  /** stderr, a paragraph each. */
  told: string[];
  asked: string[];
  /** `METHOD path` with its body, `GET /disks` left out. */
  sent: [line: string, body: unknown][];
  ports: FlowPorts;
  /** Ctrl-C. */
  interrupt(): void;
}

export const serve = async (script: Script) => {
  const agent = await startAgent(leaf, (request, response) => {
    const line = keyOf(`${request.method} ${request.url}`);
    const answers = script.answers[line] ?? (line === 'GET /disks' ? [says(listing(...script.disks))] : []);
    const next = answers.length > 1 ? answers.shift() : answers[0];
    send(response, next ?? { status: 404, text: JSON.stringify({ ok: false, data: null, error: 'No.', code: 'not-found' }) });
  });
  later(() => agent.close());
  return { agent, bootstrap: bootstrapOf([[agent.port, [leaf.fingerprint]]]) };
};

/** @param typed one answer a question, null where the person gives up; undefined: there is no terminal */
export const play = async (script: Script, typed?: (string | null)[]): Promise<Played> => {
  const { agent, bootstrap } = await serve(script);
  const { client } = await startClient(bootstrap);
  const givenUp = new AbortController();
  const played: Omit<Played, 'ports' | 'sent'> = { out: [], told: [], asked: [], interrupt: () => givenUp.abort() };
  const ask: Talk['ask'] = async (question) => {
    played.asked.push(question);
    return typed?.shift() ?? null;
  };
  const talk: Talk = {
    answer: (...lines) => void played.out.push(...lines),
    tell: (text) => void played.told.push(text),
    ask: typed === undefined ? null : ask,
    columns: 80,
  };
  return {
    ...played,
    ports: { agent: client, clock: quick(), talk, signal: givenUp.signal },
    get sent() {
      return agent.requests
        .filter(({ line }) => line !== 'GET /disks')
        .map(({ line, body }): [string, unknown] => [line, body === '' ? null : JSON.parse(body)]);
    },
  };
};
