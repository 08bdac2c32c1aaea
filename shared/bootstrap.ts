/** `bootstrap.json`: what a guest needs to find, pin and address its agent. Written by `guest enroll`, read by the controller. */
import { Type } from 'typebox';
import { type TypeOf, typed } from './endpoint.ts';
import { Fingerprint, GuestToken, Vmid } from './ids.ts';

export const Bootstrap = typed(
  Type.Object({
    vmid: Vmid,
    token: GuestToken,
    endpoints: Type.Array(
      Type.Object({
        address: Type.String({ minLength: 1 }),
        port: Type.Integer({ minimum: 1, maximum: 65_535 }),
        /** Any of these leaves is the agent: two during a rotation. */
        fingerprints: Type.Array(Fingerprint, { minItems: 1 }),
      }),
      { minItems: 1 },
    ),
  }),
);
export type Bootstrap = TypeOf<typeof Bootstrap>;
