/** An answer of the agent, checked before anything believes it. Pure. */
import { Check, Errors } from 'typebox/schema';
import type { AnyEndpoint } from '#shared/endpoint';
import { type Envelope, EnvelopeSchema } from '#shared/envelope';
import { AgentError, ownError } from './agent-error.ts';

const unreadable = (why: string) => ownError('agent-answer-unreadable', new Error(why));

const parse = (status: number, text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    throw unreadable(`HTTP ${status} without JSON`);
  }
};

/** `data`, if it has the endpoint's shape. */
const checked = (endpoint: AnyEndpoint, data: unknown): unknown => {
  if (Check(endpoint.reply, data)) return data;
  throw unreadable(`${endpoint.method} ${endpoint.path}: ${JSON.stringify(Errors(endpoint.reply, data)[1][0] ?? null)}`);
};

/** @throws AgentError with the agent's own code where it refused */
export const readAnswer = (endpoint: AnyEndpoint, status: number, text: string): unknown => {
  const body = parse(status, text);
  const success = status >= 200 && status < 300;
  if (endpoint.raw && success) return checked(endpoint, body);
  if (!Check(EnvelopeSchema, body)) throw unreadable(`HTTP ${status} without the envelope`);
  const { ok, data, code, error } = body as Envelope;
  if (!ok && code !== '') throw new AgentError(code, error || `The agent refused (HTTP ${status}).`, undefined, data);
  if (!ok || !success) throw unreadable(`HTTP ${status} with ok: ${ok} and code "${code}"`);
  return checked(endpoint, data);
};
