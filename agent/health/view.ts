/** A problem as the wire shows it. Pure. */
import { timestamp } from '#shared/ids';
import type { Problem as WireProblem } from '#shared/wire/problems';
import type { Problem } from './problems.ts';

export const problemView = ({ nextStep, since, ...problem }: Problem): WireProblem => ({
  ...problem,
  next_step: nextStep,
  since: timestamp(since),
});
