/** The command that signs an operation, for a person to type on the machine with the key. Pure. */
import { isDurableId } from '#shared/durable-id';
import { isHostScope } from '#shared/grant';
import type { Op } from './op.ts';

/** Nothing but words that are inert in a shell: what a drive calls itself never gets further. */
export const signCommand = (hostScope: string, { op, durableId }: Pick<Op, 'op' | 'durableId'>): string => {
  if (!isHostScope(hostScope) || !isDurableId(durableId)) throw new Error('an id that cannot be printed');
  return `felhom-opsign -op ${op} -host ${hostScope} -durable-id ${durableId}`;
};
