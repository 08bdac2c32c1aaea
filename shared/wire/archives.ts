/** The archives of a guest, and what of a guest is in them. */
import { Type } from 'typebox';
import { endpoint, type TypeOf, typed } from '../endpoint.ts';
import { Timestamp, Vmid } from '../ids.ts';
import { Label } from '../label.ts';
import { couldNotAsk } from './refusals.ts';
import { nullable } from './values.ts';

/** `unknown`: not made by felhom, or by one whose records are lost. */
export const ArchiveSource = Type.Union([
  Type.Literal('schedule'),
  Type.Literal('agent'),
  Type.Literal('guest'),
  Type.Literal('operator'),
  Type.Literal('proxmox'),
  Type.Literal('unknown'),
]);

/** `ok`: read to its end and whole. `unsupported`: of a kind that cannot be read here. */
export const Verification = Type.Union([
  Type.Literal('pending'),
  Type.Literal('ok'),
  Type.Literal('failed'),
  Type.Literal('unsupported'),
]);

export const Archive = Type.Object({
  /** Proxmox's volume id. */
  volid: Type.String(),
  created_at: Timestamp,
  age_seconds: Type.Integer(),
  size_bytes: Type.Integer(),
  label: Label,
  source: ArchiveSource,
  protected: Type.Boolean(),
  verification: Verification,
  verified_at: nullable(Timestamp),
  /** Why the verification failed; empty otherwise. */
  verification_error: Type.String(),
  proven_at: nullable(Timestamp),
  notes: Type.String(),
});

export const Archives = typed(
  Type.Object({
    vmid: Vmid,
    /** Newest first. */
    backups: Type.Array(Archive),
    /** To be given as `after` for the next page; empty at the end. */
    next: Type.String(),
    /** Age of the storage's listing. */
    age_seconds: nullable(Type.Integer()),
  }),
);
export type Archives = TypeOf<typeof Archives>;
export type Archive = Archives['backups'][number];

export const ArchivesQuery = typed(
  Type.Object({
    /** At most so many; 100 unless told. */
    limit: Type.Optional(Type.String({ pattern: '^([1-9][0-9]?|1[0-9][0-9]|200)$' })),
    /** `next` of the page before. */
    after: Type.Optional(Type.String({ maxLength: 512 })),
  }),
);
export type ArchivesQuery = TypeOf<typeof ArchivesQuery>;

export const getBackups = endpoint({
  method: 'GET',
  path: '/backups',
  access: 'backup',
  summary: "This guest's archives, newest first, with what each can be trusted for.",
  query: ArchivesQuery,
  reply: Archives,
  refusal: couldNotAsk,
});

export const CoverageState = Type.Union([
  Type.Literal('in-backup'),
  Type.Literal('excluded'),
  Type.Literal('bind'),
  Type.Literal('device'),
  Type.Literal('unknown'),
]);

export const Coverage = typed(
  Type.Object({
    vmid: Vmid,
    mounts: Type.Array(
      Type.Object({
        /** Proxmox's configuration key: `rootfs`, `mp0`, `scsi1` and more */
        key: Type.String(),
        storage: Type.String(),
        /** Inside a container; empty for a virtual machine. */
        mount_point: Type.String(),
        state: CoverageState,
        reason: Type.String(),
      }),
    ),
    age_seconds: nullable(Type.Integer()),
  }),
);
export type Coverage = TypeOf<typeof Coverage>;

export const getCoverage = endpoint({
  method: 'GET',
  path: '/coverage',
  access: 'backup',
  summary: 'Every mount of this guest, and whether a backup includes it.',
  reply: Coverage,
  refusal: couldNotAsk,
});
