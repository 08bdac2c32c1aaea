/** How the last attempt to back up went, as kept in `last.json` for `status`. */
import { Type } from 'typebox';
import { type TypeOf, typed } from '#shared/endpoint';
import { Timestamp } from '#shared/ids';
import { Label } from '#shared/label';
import { KINDS } from '#shared/quiesce/table';
import { nullable } from '#shared/wire/values';

/** `lapsed`: not ready before the offer was over. `unknown`: the agent could not be asked how it ended. `stopped`: the controller was stopped before the end. */
const OUTCOMES = ['done', 'failed', 'refused', 'lapsed', 'unknown', 'stopped'] as const;

/**
 * Why an application does not make the archive `app`. `declared`: quiesce.yaml asks for no more. `no-point`: let go before its data
 * was fixed. `hold-lost`: it was held, or ready, and no longer when its data was fixed. `not-told`: the host never heard how it was. `other-backup`: not of this attempt.
 */
const WHY_NOT = [
  'ok',
  'not-ready',
  'declared',
  'not-covered',
  'no-point',
  'not-held',
  'hold-lost',
  'several-disks',
  'not-told',
  'other-backup',
] as const;

const AppOutcome = Type.Object({
  name: Type.String(),
  /** Empty where it is not known. */
  adapter: Type.String(),
  kind: nullable(Type.Enum(KINDS)),
  /** It was made to stand still. */
  held: Type.Boolean(),
  held_ms: nullable(Type.Number()),
  /** What the table asks for was true when its data was fixed. */
  consistent: Type.Boolean(),
  /** All of its data is in the backup. */
  covered: Type.Boolean(),
  /** It counts as consistent in this archive. */
  ok: Type.Boolean(),
  code: Type.Enum(WHY_NOT),
  /** Why not, as part of a sentence; empty where it is. */
  why: Type.String(),
});

export const AttemptResult = typed(
  Type.Object({
    started_at: Timestamp,
    finished_at: Timestamp,
    outcome: Type.Enum(OUTCOMES),
    job_id: Type.String(),
    /** Why the applications were let go, one of `RELEASE_REASONS`; null where none was held. */
    release: nullable(Type.String()),
    /** From the first hold to the last one's end; null where none was held. */
    held_ms: nullable(Type.Integer()),
    apps: Type.Array(AppOutcome),
    /** Why felhom-quiesced could not make the applications ready; empty where it could, or was not asked. */
    quiesce_error: Type.String(),
    label: nullable(Label),
    /** A sentence; empty where all went well. */
    error: Type.String(),
  }),
);
export type AttemptResult = TypeOf<typeof AttemptResult>;
export type AppOutcome = AttemptResult['apps'][number];
