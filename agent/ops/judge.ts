/** Whether a genuine signature is for an operation that waits here now. Pure: over what is known, without looking at the drive. */
import type { GrantClaims } from '#shared/grant';
import type { Op } from './op.ts';
import { alreadyUsed, clocksDiffer, noSuchOp, opClosed, opExpired, opGranted, otherHost, otherOp } from './refusals.ts';

/** Clocks of two machines, one of them without a network, may differ by so much. */
const SKEW_MS = 86_400_000;

export interface GrantFacts<O extends Op> {
  claims: GrantClaims;
  hostScope: string;
  /** Those that whoever carries it may know of. */
  ops: readonly O[];
  /** The one that it was carried to; undefined: whichever it is for. */
  opId: string | undefined;
  /** When this very signature was used, and for which operation; null: never. */
  used: { at: number; opId: string } | null;
  now: number;
}

/** `join`: this very signature was accepted a moment ago, and its job is still to be asked for. */
export type GrantVerdict<O extends Op> = { kind: 'execute'; op: O } | { kind: 'join'; op: O; usedAt: number };

const opFor = <O extends Op>({ claims, ops, opId }: GrantFacts<O>): O => {
  const op = ops.find(({ durableId }) => durableId === claims.durable_id);
  if (opId !== undefined && op?.id !== opId) throw op === undefined ? noSuchOp() : otherOp(opId);
  if (op === undefined) throw noSuchOp();
  return op;
};

/** Throws the refusal. */
export const judgeGrant = <O extends Op>(facts: GrantFacts<O>): GrantVerdict<O> => {
  const { claims, hostScope, used, now } = facts;
  if (claims.host !== hostScope) throw otherHost(claims, hostScope);
  const op = opFor(facts);
  if (used !== null) {
    if (used.opId === op.id) return { kind: 'join', op, usedAt: used.at };
    throw alreadyUsed(used.at, '');
  }
  if (op.state === 'granted') throw opGranted(op);
  if (op.state === 'expired') throw opExpired(op);
  if (op.state === 'closed') throw opClosed(op);
  if (claims.iat * 1000 > now + SKEW_MS || claims.exp * 1000 < now - SKEW_MS) throw clocksDiffer(claims, now);
  return { kind: 'execute', op };
};
