/** Who answers, and whether it is alive. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Fingerprint, HostId, Scope, Vmid } from '../ids.ts';
import { nullable } from './values.ts';

export const Identity = typed(
  Type.Object({
    version: Type.String(),
    host_scope: HostId,
    node: Type.String(),
    vmid: Vmid,
    scopes: Type.Array(Scope),
    fingerprints: Type.Object({
      now: Fingerprint,
      /** The leaf that will be served after a rotation. */
      next: nullable(Fingerprint),
    }),
  }),
);
export type Identity = TypeOf<typeof Identity>;

export const getIdentity = endpoint({
  method: 'GET',
  path: '/identity',
  access: 'token',
  summary: 'Which agent this is, and what the token may do.',
  reply: Identity,
});

export const getHealthz = endpoint({
  method: 'GET',
  path: '/healthz',
  access: 'public',
  summary: 'The agent is alive, and nothing else.',
  reply: typed(Type.Object({ alive: Type.Literal(true) })),
});

export const getOpenapi = endpoint({
  method: 'GET',
  path: '/openapi.json',
  access: 'public',
  summary: 'This API as an OpenAPI 3.1 document.',
  raw: true,
  reply: typed(Type.Object({}, { additionalProperties: true })),
});
