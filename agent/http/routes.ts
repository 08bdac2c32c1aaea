/** What a handler gets and gives: every endpoint of the guest API has one, or the compiler says which is missing. */
import type { BodyOf, ParamsOf, QueryOf, ReplyOf } from '#shared/endpoint';
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

/** Handlers throw `FelhomError` to refuse. A public endpoint's `guest` is never read. */
export type GuestHandlers = {
  [Name in keyof typeof GUEST_API]: (
    call: Call<(typeof GUEST_API)[Name]> & { guest: Caller },
  ) => Promise<ReplyOf<(typeof GUEST_API)[Name]>> | ReplyOf<(typeof GUEST_API)[Name]>;
};

export type AdminHandlers = {
  [Name in keyof typeof ADMIN_API]: (
    call: Call<(typeof ADMIN_API)[Name]>,
  ) => Promise<ReplyOf<(typeof ADMIN_API)[Name]>> | ReplyOf<(typeof ADMIN_API)[Name]>;
};
