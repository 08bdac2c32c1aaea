/** Operations that need a signature, and the trust they rest on, as root sees them over the socket. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Timestamp } from '../ids.ts';
import { FormatJob, FormatJobFields } from './jobs.ts';
import { GrantText, Op } from './ops.ts';
import { nullable } from './values.ts';

const AdminOpFields = Type.Object({
  op: Op,
  /** Whoever keeps the drive in use now, each a sentence; empty: a grant would be executed. */
  in_use: Type.Array(Type.String()),
  /** Done by `ops prepare` and not undone, each a sentence. */
  prepared: Type.Array(Type.String()),
  /** `<sub> (key <kid>)` of the signature that was accepted; empty: none was. */
  granted_by: Type.String(),
  job: nullable(FormatJobFields),
});
export const AdminOp = typed(AdminOpFields);
export type AdminOp = TypeOf<typeof AdminOp>;

const OpNamed = typed(Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }) }));

const TrustFields = Type.Object({
  /** Why grants are refused and no drive is written; empty where they are not. */
  grants_off: Type.String(),
  /** How many grants were ever accepted, as the database and as the second file count them; null: it is missing or unreadable. */
  database_count: nullable(Type.Integer()),
  file_count: nullable(Type.Integer()),
  /** Newest time that the agent believed, and its clock now. */
  clock_mark: nullable(Timestamp),
  clock_now: Timestamp,
  /** Names of the keys that may sign, and of those that may no more. */
  keys: Type.Array(
    Type.Object({
      kid: Type.String(),
      name: Type.String(),
      state: Type.Union([Type.Literal('active'), Type.Literal('retired')]),
    }),
  ),
  /** Why the file of keys cannot be used; empty where it can. */
  keys_problem: Type.String(),
});
export const Trust = typed(TrustFields);
export type Trust = TypeOf<typeof Trust>;

export const listAllOps = endpoint({
  method: 'GET',
  path: '/ops',
  access: 'admin',
  summary: 'Every operation that waits for a signature, and those of the last week.',
  reply: typed(Type.Object({ ops: Type.Array(AdminOpFields), trust: TrustFields })),
});

export const showOp = endpoint({
  method: 'GET',
  path: '/op',
  access: 'admin',
  summary: 'One operation, with whoever keeps its drive in use, looked at now.',
  query: OpNamed,
  reply: AdminOp,
});

export const prepareOp = endpoint({
  method: 'POST',
  path: '/ops/prepare',
  access: 'admin',
  summary: 'Takes a backup drive out of use so that its wipe can be granted, or puts it back.',
  body: typed(Type.Object({ id: Type.String({ minLength: 1, maxLength: 64 }), undo: Type.Boolean() })),
  reply: AdminOp,
});

/** Of whatever operation it is for: the signature says. */
export const grantAnyOp = endpoint({
  method: 'POST',
  path: '/ops/grant',
  access: 'admin',
  summary: "Carries the operator's signature; it is executed once.",
  body: typed(Type.Object({ grant: GrantText })),
  reply: FormatJob,
});

export const acceptState = endpoint({
  method: 'POST',
  path: '/state/accept',
  access: 'admin',
  summary: 'Accepts the database as it is, after it was lost or put back from a copy. Closes every open operation.',
  reply: Trust,
});

export const acceptClock = endpoint({
  method: 'POST',
  path: '/clock/accept',
  access: 'admin',
  summary: "Accepts the host's clock as it is, after it was wrong.",
  reply: Trust,
});

export const showFormat = endpoint({
  method: 'GET',
  path: '/format',
  access: 'admin',
  summary: 'One format of any guest: how it goes, or how it ended.',
  query: OpNamed,
  reply: FormatJob,
});
