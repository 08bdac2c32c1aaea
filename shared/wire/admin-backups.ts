/** What the command line asks the running agent about backups. Archives are named by volume id, which holds slashes: in the query or the body. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Timestamp, Vmid, VmidText } from '../ids.ts';
import { Label } from '../label.ts';
import { ArchiveSource, Archives, Verification } from './archives.ts';
import { BackupStarted, BackupStatus, Phase } from './backups.ts';
import { Problem } from './problems.ts';
import { nullable } from './values.ts';

const GuestBody = typed(Type.Object({ vmid: Vmid }));
/** `<storage>:backup/<file>`. */
const Volid = Type.String({ pattern: '^[A-Za-z][A-Za-z0-9._-]*:.+$', maxLength: 512 });
const VolidBody = typed(Type.Object({ volid: Volid }));
const VolidQuery = typed(Type.Object({ volid: Volid }));

export const listBackups = endpoint({
  method: 'GET',
  path: '/backups',
  access: 'admin',
  summary: "One guest's archives, newest first, a page at a time.",
  query: typed(Type.Object({ vmid: VmidText, after: Type.Optional(Type.String({ maxLength: 512 })) })),
  reply: Archives,
});

export const DutyOverview = typed(
  Type.Object({
    guests: Type.Array(
      Type.Object({
        vmid: Vmid,
        due: Type.Boolean(),
        /** Why it is due, or why it waits. */
        reason: Type.String(),
        next_at: nullable(Timestamp),
        last_good_at: nullable(Timestamp),
        /** Attempts that failed since the last good backup. */
        failures: Type.Integer(),
        /** While the node's backup slot is reserved for it. */
        offered_until: nullable(Timestamp),
      }),
    ),
    /** Why the node's backup slot is taken; empty while it is free. */
    busy: Type.String(),
  }),
);
export type DutyOverview = TypeOf<typeof DutyOverview>;

export const backupsDue = endpoint({
  method: 'GET',
  path: '/backups/due',
  access: 'admin',
  summary: 'For every guest when its next backup is due, or why it waits.',
  reply: DutyOverview,
});

export const followBackup = endpoint({
  method: 'GET',
  path: '/backups/status',
  access: 'admin',
  summary: "A guest's newest backup; with `wait` and `after` the answer is held back until there is news.",
  query: typed(
    Type.Object({
      vmid: VmidText,
      wait: Type.Optional(Type.String({ pattern: '^[0-8]$' })),
      after: Type.Optional(Type.String({ maxLength: 128 })),
    }),
  ),
  reply: BackupStatus,
});

export const runBackup = endpoint({
  method: 'POST',
  path: '/backups/run',
  access: 'admin',
  summary: 'Starts a backup now, whether or not one is due; while one of this guest runs, answers that one.',
  status: 202,
  body: GuestBody,
  reply: BackupStarted,
});

export const cancelBackup = endpoint({
  method: 'POST',
  path: '/backups/cancel',
  access: 'admin',
  summary: "Ends a guest's running backup.",
  body: GuestBody,
  reply: typed(Type.Object({ vmid: Vmid, job_id: Type.String(), phase: Phase })),
});

export const protectBackup = endpoint({
  method: 'POST',
  path: '/backups/protect',
  access: 'admin',
  summary: 'Marks an archive so that nobody deletes it, or takes the mark away.',
  body: typed(Type.Object({ volid: Volid, on: Type.Boolean() })),
  reply: typed(Type.Object({ volid: Type.String(), protected: Type.Boolean() })),
});

/** How far the reading of an archive has come. */
export const VerifyState = typed(
  Type.Object({
    volid: Type.String(),
    /** It waits for its turn, or is being read. */
    running: Type.Boolean(),
    /** Of the last reading that ended. */
    verification: Verification,
    verified_at: nullable(Timestamp),
    /** Why it failed, or could not be tried; empty otherwise. */
    error: Type.String(),
  }),
);
export type VerifyState = TypeOf<typeof VerifyState>;

export const verifyBackup = endpoint({
  method: 'POST',
  path: '/backups/verify',
  access: 'admin',
  summary: 'Begins to read an archive to its end; while it is being read, answers so.',
  status: 202,
  body: VolidBody,
  reply: VerifyState,
});

export const verifyProgress = endpoint({
  method: 'GET',
  path: '/backups/verify',
  access: 'admin',
  summary: 'Whether an archive is being read, and how the last reading ended.',
  query: VolidQuery,
  reply: VerifyState,
});

/** What retention does with every archive of a guest, and why. */
export const PrunePlan = typed(
  Type.Object({
    vmid: Vmid,
    /** Newest first. */
    archives: Type.Array(
      Type.Object({
        volid: Type.String(),
        created_at: Timestamp,
        size_bytes: Type.Integer(),
        source: ArchiveSource,
        label: Label,
        verification: Verification,
        keep: Type.Boolean(),
        /** In words: "one of 7 daily", "protected", "older than anything to keep" and more */
        why: Type.String(),
      }),
    ),
    /** Why nothing at all is deleted now; empty otherwise. */
    stopped: Type.String(),
    /** Deleted just now, by volume id; empty for a dry run. */
    deleted: Type.Array(Type.String()),
  }),
);
export type PrunePlan = TypeOf<typeof PrunePlan>;

export const pruneBackups = endpoint({
  method: 'POST',
  path: '/backups/prune',
  access: 'admin',
  summary: "Deletes those of a guest's archives that retention does not keep; a dry run only says which, and why.",
  body: typed(Type.Object({ vmid: Vmid, dry_run: Type.Boolean() })),
  reply: PrunePlan,
});

export const RestoreAdvice = typed(
  Type.Object({
    volid: Type.String(),
    vmid: Vmid,
    type: Type.Union([Type.Literal('lxc'), Type.Literal('qemu')]),
    created_at: Timestamp,
    size_bytes: Type.Integer(),
    label: Label,
    verification: Verification,
    verified_at: nullable(Timestamp),
    verification_error: Type.String(),
    protected: Type.Boolean(),
    /** What the command line would overwrite, one sentence each; empty where no guest of this number exists. */
    overwrites: Type.Array(Type.String()),
    /** What to know or do before, one sentence each. */
    warnings: Type.Array(Type.String()),
    /** For root's shell on the node, as it stands. */
    command: Type.String(),
  }),
);
export type RestoreAdvice = TypeOf<typeof RestoreAdvice>;

export const restoreAdvice = endpoint({
  method: 'GET',
  path: '/backups/restore',
  access: 'admin',
  summary: 'Checks an archive, and tells the command that restores it and what that would overwrite. Runs nothing.',
  query: VolidQuery,
  reply: RestoreAdvice,
});

export const AllProblems = typed(Type.Object({ problems: Type.Array(Problem) }));
export type AllProblems = TypeOf<typeof AllProblems>;

export const listProblems = endpoint({
  method: 'GET',
  path: '/problems',
  access: 'admin',
  summary: 'What is wrong now, on this host and with every guest.',
  reply: AllProblems,
});
