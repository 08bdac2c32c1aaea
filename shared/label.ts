/** What an archive's data can be trusted for. */
import { type Static, Type } from 'typebox';

/**
 * `app`: the applications' own conditions held at the consistency point. `filesystem`: the file systems were consistent.
 * `crash`: as after a power cut. `stopped`: the guest was not running. Best first; `stopped` stands beside the order.
 */
export const Label = Type.Union([
  Type.Literal('app'),
  Type.Literal('filesystem'),
  Type.Literal('crash'),
  Type.Literal('stopped'),
]);
export type Label = Static<typeof Label>;
