/** What a handler gets and gives: every endpoint of the guest API has one, or the compiler says which is missing. */
import type { BodyOf, EventEndpoint, ParamsOf, QueryOf, ReplyOf } from '#shared/endpoint';
import type { Scope } from '#shared/ids';
import type { ADMIN_API } from '#shared/wire/admin';
import type { GUEST_API } from '#shared/wire/api';

/** The guest that a valid token belongs to. */
export interface Caller {
  vmid: number;
  scopes: readonly Scope[];
}

export interface Call<E> {
  body: BodyOf<E>;
  query: QueryOf<E>;
  params: ParamsOf<E>;
  /** Aborted when the client has gone, the token was revoked, or the agent stops. */
  signal: AbortSignal;
}

/** Sends one event; the first one begins the answer. */
export type Send<Event> = (event: Event) => void;

// biome-ignore-start lint/suspicious/noExplicitAny: handlers of whatever endpoint; their own types are checked where they are made
export type AnyHandler = (call: Call<any> & { guest: Caller }, send?: Send<any>) => unknown;
// biome-ignore-end lint/suspicious/noExplicitAny: handlers of whatever endpoint; their own types are checked where they are made

/** Of events: resolves when there are no more, at the latest when `signal` is aborted. Before the first one it may refuse as any other. */
type Handler<E, C> =
  E extends EventEndpoint<infer Event>
    ? (call: C, send: Send<Event>) => Promise<void>
    : (call: C) => Promise<ReplyOf<E>> | ReplyOf<E>;

/** Handlers throw `FelhomError` to refuse. A public endpoint's `guest` is never read. */
export type GuestHandlers = {
  [Name in keyof typeof GUEST_API]: Handler<(typeof GUEST_API)[Name], Call<(typeof GUEST_API)[Name]> & { guest: Caller }>;
};

export type AdminHandlers = {
  [Name in keyof typeof ADMIN_API]: Handler<(typeof ADMIN_API)[Name], Call<(typeof ADMIN_API)[Name]>>;
};
