/** An endpoint as one value: the agent mounts it, clients call it, types and the OpenAPI document are made from it. */
import type { Static, TSchema } from 'typebox';
import type { ErrorCode, RefusalDetails } from './errors.ts';
import type { Scope } from './ids.ts';

/** `public`: no token. `token`: any valid token. `admin`: the root-only socket. Otherwise a token with that scope. */
export type Access = 'public' | 'token' | 'admin' | Scope;

/** A schema that remembers its type, so that generic code never computes `Static` on an open type parameter (slow to check). */
export interface Typed<T> extends TSchema {
  readonly '~type'?: T;
}
export const typed = <S extends TSchema>(schema: S): Typed<Static<S>> => schema;
export type TypeOf<S> = S extends Typed<infer T> ? T : never;

/** What is known of a request that was not granted. */
export interface RefusalFacts {
  status: number;
  code: ErrorCode;
  error: string;
  /** Null while the caller is not known. */
  vmid: number | null;
  /** As received, if it was JSON at all. */
  body: unknown;
  details?: RefusalDetails;
}

/** How a refusal is answered where clients in the field judge it in a way of their own. */
export type RefusalForm = (facts: RefusalFacts) => { status: number; data: object | null };

export interface Endpoint<Reply = unknown, Body = unknown, Query = unknown, Params = unknown> {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With `{name}` for parameters. */
  readonly path: string;
  readonly access: Access;
  readonly summary: string;
  /** HTTP status of success; 200 unless told. */
  readonly status?: number;
  /** Of a call that may answer before its work has ended: whether this reply only says that it began. It is answered with 202. */
  readonly isUnderWay?: (reply: Reply) => boolean;
  readonly params?: Typed<Params>;
  readonly query?: Typed<Query>;
  readonly body?: Typed<Body>;
  /** `data` of a success. */
  readonly reply: Typed<Reply>;
  /** Absent: the code's own status and `data: null`. */
  readonly refusal?: RefusalForm;
  /** `raw`: the reply itself is the answer's body, without the envelope. */
  readonly raw?: true;
  /** Whether the answer to such a query is held back (long poll): it counts as a stream. */
  readonly stream?: (query: Query) => boolean;
  /** The answer never ends by itself: a stream of events, each of them a `reply`. */
  readonly events?: true;
}

/** What an event is made of: its name, and what it says. */
export interface NamedEvent {
  readonly event: string;
  readonly data: unknown;
}

/** An endpoint that is answered by events. */
export interface EventEndpoint<Event> extends Endpoint<Event, undefined, undefined, undefined> {
  readonly events: true;
}

/** Types an endpoint by its schemas. */
export const endpoint = <Reply, Body = undefined, Query = undefined, Params = undefined>(
  definition: Endpoint<Reply, Body, Query, Params>,
): Endpoint<Reply, Body, Query, Params> => definition;

export const eventStream = <Event extends NamedEvent>(
  definition: Pick<EventEndpoint<Event>, 'path' | 'access' | 'summary' | 'reply'>,
): EventEndpoint<Event> => ({ ...definition, method: 'GET', events: true, stream: () => true });

// biome-ignore lint/suspicious/noExplicitAny: the one place that means "an endpoint of whatever types"
export type AnyEndpoint = Endpoint<any, any, any, any>;
export type ReplyOf<E> = E extends Endpoint<infer R, infer _B, infer _Q, infer _P> ? R : never;
export type BodyOf<E> = E extends Endpoint<infer _R, infer B, infer _Q, infer _P> ? B : never;
export type QueryOf<E> = E extends Endpoint<infer _R, infer _B, infer Q, infer _P> ? Q : never;
export type ParamsOf<E> = E extends Endpoint<infer _R, infer _B, infer _Q, infer P> ? P : never;

/** `/ops/{id}/grant` with `{id: 7}` as `/ops/7/grant`. */
export const pathOf = (path: string, params: Record<string, string | number> = {}): string =>
  path.replace(/\{(\w+)\}/g, (_all, name: string) => encodeURIComponent(String(params[name])));
