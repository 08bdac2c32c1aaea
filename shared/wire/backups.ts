/** Backups: when one is due, starting one, following it. */
import { type TSchema, Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { RequestId, Timestamp, Vmid } from '../ids.ts';
import { Label } from '../label.ts';
import { MOST_APPS } from '../quiesce/config.ts';
import { couldNotAsk } from './refusals.ts';
import { Fraction, nullable } from './values.ts';

/** An agent without held applications does not say it, and a guest that is updated first still has its backups from that one. */
const sinceHolds = <S extends TSchema>(schema: S) => Type.Optional(schema);

/** How vzdump treats the guest while it fixes the data. `stop` is also what it says of a guest that was not running. */
export const BackupMode = Type.Union([Type.Literal('snapshot'), Type.Literal('suspend'), Type.Literal('stop')]);

export const BackupDue = typed(
  Type.Object({
    vmid: Vmid,
    /** True is an offer: the node's one backup slot is this guest's until `slot_expires_at`. */
    due: Type.Boolean(),
    reason: Type.String(),
    /** What an offered backup will run as; null without an offer. */
    mode: nullable(BackupMode),
    /** Whether applications are to be held for it. */
    hold: Type.Boolean(),
    /** From the start of the backup to the consistency point, as it was lately. */
    hold_expected_seconds: nullable(Type.Integer()),
    slot_expires_at: nullable(Timestamp),
    /** Whether all of the guest's data will be fixed in one instant, as far as that is known before; null without an offer. */
    one_instant: sinceHolds(nullable(Type.Boolean())),
  }),
);
export type BackupDue = TypeOf<typeof BackupDue>;

export const getBackupDue = endpoint({
  method: 'GET',
  path: '/backup/due',
  access: 'backup',
  summary: 'Whether this guest should be backed up now, and why; if so, the backup slot is reserved for it.',
  reply: BackupDue,
  refusal: couldNotAsk,
});

export const Phase = Type.Union([Type.Literal('idle'), Type.Literal('running'), Type.Literal('done'), Type.Literal('failed')]);

export const BackupStarted = typed(Type.Object({ vmid: Vmid, job_id: Type.String(), phase: Phase }));
export type BackupStarted = TypeOf<typeof BackupStarted>;

/** As quiesce.yaml names an application. */
export const AppName = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$' });

export const StartBackup = typed(
  Type.Object({
    /** The same id answers the same job for seven days. */
    request_id: Type.Optional(RequestId),
    /** The applications that are to be consistent in the archive: its label is the worst of theirs. */
    intends: Type.Optional(Type.Array(AppName, { maxItems: MOST_APPS })),
  }),
);
export type StartBackup = TypeOf<typeof StartBackup>;

export const startBackup = endpoint({
  method: 'POST',
  path: '/backup',
  access: 'backup',
  summary: 'Starts a backup of this guest; while one runs, answers that one.',
  status: 202,
  body: StartBackup,
  reply: BackupStarted,
});

export const HeldApp = Type.Object({
  app: AppName,
  /** The adapter's condition for `app` was true at the consistency point; where no hold is needed, `held_ms` is 0. */
  held: Type.Boolean(),
  held_ms: Type.Integer({ minimum: 0 }),
  /** All of its data is in the archive. */
  covered: Type.Boolean(),
});
export type HeldApp = TypeOf<typeof HeldReport>['apps'][number];

export const HeldReport = typed(Type.Object({ apps: Type.Array(HeldApp, { maxItems: MOST_APPS }) }));
export type HeldReport = TypeOf<typeof HeldReport>;

export const HeldParams = typed(Type.Object({ job_id: Type.String({ minLength: 1, maxLength: 64 }) }));
export type HeldParams = TypeOf<typeof HeldParams>;

export const HeldAccepted = typed(Type.Object({ vmid: Vmid, job_id: Type.String() }));
export type HeldAccepted = TypeOf<typeof HeldAccepted>;

export const reportHeld = endpoint({
  method: 'POST',
  path: '/backup/{job_id}/held',
  access: 'backup',
  summary:
    'Says of each application, after the consistency point, whether it was consistent then. Said once; the same again changes nothing.',
  params: HeldParams,
  body: HeldReport,
  reply: HeldAccepted,
});

const JOB = {
  vmid: Vmid,
  phase: Phase,
  /** Empty while no backup was ever started. */
  job_id: Type.String(),
  /** Why it failed; empty otherwise. */
  error: Type.String(),
  /** When the agent saw that the data in the archive is fixed: from then on applications may write again. */
  consistency_point_at: nullable(Timestamp),
  mode: nullable(BackupMode),
  progress: nullable(Fraction),
  /** True where `progress` was guessed from the size of the last archive. */
  progress_estimated: Type.Boolean(),
  eta_seconds: nullable(Type.Integer()),
  /** How long the whole guest stood still. */
  frozen_seconds: nullable(Type.Integer()),
  /** Proxmox's task. */
  upid: Type.String(),
  /** The archive's volume id. */
  archive: Type.String(),
  size_bytes: nullable(Type.Integer()),
  started_at: nullable(Timestamp),
  finished_at: nullable(Timestamp),
  warnings: Type.Array(Type.String()),
  label: nullable(Label),
  /** Whether all data was fixed in one instant, as the log proves; null before the consistency point. */
  one_instant: sinceHolds(nullable(Type.Boolean())),
  /** The applications that were to be consistent. */
  intends: sinceHolds(Type.Array(Type.String())),
  /** What the guest reported of them; null: nothing yet. */
  apps: sinceHolds(nullable(Type.Array(HeldApp))),
};

/** A backup as events carry it. */
export const BackupJob = Type.Object(JOB);

export const BackupStatus = typed(
  Type.Object({
    ...JOB,
    /** Opaque; any difference means news. Changes its beginning when the agent restarts. */
    revision: Type.String(),
  }),
);
export type BackupStatus = TypeOf<typeof BackupStatus>;

export const StatusQuery = typed(
  Type.Object({
    /** Seconds to wait for news, at most 8. */
    wait: Type.Optional(Type.String({ pattern: '^[0-8]$' })),
    /** The revision that the caller has seen. */
    after: Type.Optional(Type.String({ maxLength: 128 })),
  }),
);
export type StatusQuery = TypeOf<typeof StatusQuery>;

export const getBackupStatus = endpoint({
  method: 'GET',
  path: '/backup/status',
  access: 'backup',
  summary: "This guest's newest backup; with `wait` and `after` the answer is held back until there is news.",
  stream: ({ wait = '0' }) => wait !== '0',
  query: StatusQuery,
  reply: BackupStatus,
  refusal: couldNotAsk,
});
