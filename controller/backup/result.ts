/** How the last attempt to back up went, as kept in `last.json` for `status`. */
import { Type } from 'typebox';
import { type TypeOf, typed } from '#shared/endpoint';
import { Timestamp } from '#shared/ids';
import { Label } from '#shared/label';
import { nullable } from '#shared/wire/values';

/** `lapsed`: not ready before the offer was over. `unknown`: the agent could not be asked how it ended. `stopped`: the controller was stopped before the end. */
const OUTCOMES = ['done', 'failed', 'refused', 'lapsed', 'unknown', 'stopped'] as const;
const STEPS = ['ok', 'failed', 'timed-out', 'not-run'] as const;
export type StepOutcome = (typeof STEPS)[number];
const Step = Type.Enum(STEPS);

export const AttemptResult = typed(
  Type.Object({
    started_at: Timestamp,
    finished_at: Timestamp,
    outcome: Type.Enum(OUTCOMES),
    job_id: Type.String(),
    /** Why the applications were let go, one of `RELEASE_REASONS`; null where none was held. */
    release: nullable(Type.String()),
    /** From the first pre to the last post's end; null where none was held. */
    held_ms: nullable(Type.Integer()),
    apps: Type.Array(Type.Object({ name: Type.String(), pre: Step, post: Step })),
    label: nullable(Label),
    /** A sentence; empty where all went well. */
    error: Type.String(),
  }),
);
export type AttemptResult = TypeOf<typeof AttemptResult>;
export type AppOutcome = AttemptResult['apps'][number];
