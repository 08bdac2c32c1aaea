/** What is wrong now. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Timestamp, Vmid } from '../ids.ts';
import { couldNotAsk } from './refusals.ts';
import { nullable } from './values.ts';

export const Problem = Type.Object({
  /** One of shared/problems.ts; open, so that a client reads an agent that knows more. */
  code: Type.String({ pattern: '^[a-z][a-z0-9-]*$' }),
  severity: Type.Union([Type.Literal('critical'), Type.Literal('warning'), Type.Literal('notice')]),
  /** Null: the whole host. */
  vmid: nullable(Vmid),
  /** For the customer: what it means for them. */
  sentence: Type.String(),
  /** What was seen, in figures. */
  evidence: Type.String(),
  /** One thing to do, and who does it. */
  next_step: Type.String(),
  since: Timestamp,
});

export const Problems = typed(Type.Object({ vmid: Vmid, problems: Type.Array(Problem) }));
export type Problems = TypeOf<typeof Problems>;
export type Problem = Problems['problems'][number];

export const getProblems = endpoint({
  method: 'GET',
  path: '/problems',
  access: 'token',
  summary: 'What is wrong now with this guest or its host, each with one next step.',
  reply: Problems,
  refusal: couldNotAsk,
});
