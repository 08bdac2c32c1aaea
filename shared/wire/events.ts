/** What happens on the host, told as it happens (server-sent events: html.spec.whatwg.org, 9.2). */
import { Type } from 'typebox';
import { eventStream, type TypeOf, typed } from '../endpoint.ts';
import { Vmid } from '../ids.ts';
import { BackupJob } from './backups.ts';
import { FormatJobFields } from './jobs.ts';
import { Problem } from './problems.ts';
import { nullable } from './values.ts';

/** The first event of every stream: how things stand, so that nothing is missed between two streams. */
const Hello = Type.Object({
  event: Type.Literal('hello'),
  data: Type.Object({
    vmid: Vmid,
    /** This guest's newest backup. Null where the token may not see backups, or while it is not known. */
    job: nullable(BackupJob),
    problems: Type.Array(Problem),
  }),
});

/** A backup of this guest changed: it began, came to its consistency point, ended. Needs the scope `backup`. */
const JobEvent = Type.Object({ event: Type.Literal('job'), data: BackupJob });

/** Archives of this guest came, went, or are better known: `GET /backups` tells which. Needs the scope `backup`. */
const ArchivesEvent = Type.Object({ event: Type.Literal('archives'), data: Type.Object({ vmid: Vmid }) });

/** A drive came, went, or is known better: `GET /disks` tells which. Needs the scope `disks:read`. */
const DisksEvent = Type.Object({ event: Type.Literal('disks'), data: Type.Object({ vmid: Vmid }) });

/** A format of this guest's began, or ended. Needs the scope `disks:read`. */
const FormatEvent = Type.Object({ event: Type.Literal('format'), data: FormatJobFields });

/** One of this guest's operations came, was granted, or is over: `GET /ops` tells. Needs the scope `disks:read`. */
const OpsEvent = Type.Object({ event: Type.Literal('ops'), data: Type.Object({ vmid: Vmid }) });

/** Something began to be wrong with this guest or its host, or no longer is. */
const ProblemEvent = Type.Object({
  event: Type.Literal('problem'),
  data: Type.Object({
    change: Type.Union([Type.Literal('raised'), Type.Literal('cleared')]),
    problem: Problem,
  }),
});

export const GuestEvent = typed(Type.Union([Hello, JobEvent, ArchivesEvent, DisksEvent, FormatEvent, OpsEvent, ProblemEvent]));
export type GuestEvent = TypeOf<typeof GuestEvent>;

export const getEvents = eventStream({
  path: '/events',
  access: 'token',
  summary:
    'Backups, archives, drives and problems as they change. Begins with how things stand (`hello`); nothing is replayed after a pause.',
  reply: GuestEvent,
});
