/** One cell of the matrix: a fault at a moment, what became of the applications and of what was said of them, and the next attempt. */
import { pause, until } from '../quiesced-world.ts';
import type { Job } from './agent.ts';
import type { FaultOf } from './faults.ts';
import { APPS, type App, type Guest, HOLD_MAX_MS } from './guest.ts';
import type { Hold } from './holds.ts';
import { type Moment, momentOf } from './moments.ts';
import { now } from './now.ts';

export interface Played {
  /**
   * From what lets go until all are back: from the fault; from the lease's end where the fault lets nobody go and stops the attempt;
   * from the point, or the lease's end if that is first, where the attempt goes on.
   */
  backMs: number;
  /** After the deadline; negative: before it. Null where nothing was held. */
  pastDeadlineMs: number | null;
  /** Promises that were not kept; none: all were. */
  broken: string[];
}

/** The promise. */
const PAST_DEADLINE_MS = 5000;
/** Looked for longer than is promised, so that the figure says how late it was. */
const LOOK_MS = 20_000;
/** Of the test's own patience, on a busy machine. */
const PATIENCE_MS = 90_000;
/** Between the fault and the point, where the attempt goes on. */
const POINT_AFTER_MS = 300;
const REPORT_MS = 4000;
const POLL_MS = 15;

/** The fault is there. */
interface Struck {
  fault: FaultOf;
  moment: Moment;
  app: App | null;
  at: number;
  over: () => Promise<void> | void;
}

const isEarly = (moment: Moment): boolean => moment === 'before prepare' || moment === 'in prepare';

const strikeAt = async (guest: Guest, fault: FaultOf, moment: Moment, delayMs: number): Promise<Struck> => {
  const { child: app, reach, offersLater } = momentOf(moment);
  await reach(guest);
  await pause(delayMs);
  guest.holds.sample();
  const at = now();
  const over = await fault.strike(guest, app);
  if (offersLater) guest.agent.offer();
  // A command that hangs is ended for the fault's sake, where the attempt cannot go on; but coming back is always let through.
  guest.open('post');
  await guest.writer.commit();
  if (fault.lets === 'goes-on' || fault.commandsGoOn) guest.open('prepare', 'pre');
  return { fault, moment, app, at, over };
};

/** While the fault lasts: until all are back, and as long as it lasts. The point is told where the attempt can get there. */
const throughFault = async (guest: Guest, { fault, moment, app, at }: Struck, jobsBefore: number): Promise<void> => {
  const { holds, agent } = guest;
  const deadline = () => holds.deadline() ?? at + HOLD_MAX_MS;
  const lastsUntil = fault.lastsMs === undefined ? at : deadline() + fault.lastsMs;
  const goesOn = fault.lets === 'goes-on' || fault.lets === 'one';
  const patience = now() + (goesOn ? PATIENCE_MS : lastsUntil - at + LOOK_MS);
  for (;;) {
    holds.sample();
    const job = agent.jobs.slice(jobsBefore).at(-1);
    const isVictimBack = fault.lets !== 'one' || isEarly(moment) || (app !== null && holds.isUp(app));
    if (goesOn && job && now() >= Math.max(at, job.postedAt) + POINT_AFTER_MS && isVictimBack) agent.point();
    const isAtPoint = !goesOn || (job !== undefined && job.pointAt !== null);
    if (isAtPoint && holds.areUp() && now() >= lastsUntil) return;
    if (now() > patience) return;
    await pause(POLL_MS);
  }
};

/** The attempt goes on to its end, or another controller makes its own. */
const toTheEnd = async (guest: Guest, jobsBefore: number, startsBefore: number): Promise<Job> => {
  const { agent, holds } = guest;
  await until('a backup was requested', () => agent.jobs.length > jobsBefore && !agent.isOffered(), PATIENCE_MS);
  const job = agent.jobs.at(-1) as Job;
  await pause(POINT_AFTER_MS / 2);
  holds.sample();
  agent.point();
  const isHeard = guest.controllerStarts() === startsBefore && job.intends.length > 0;
  await until('reported', () => job.report !== null || !isHeard, REPORT_MS).catch(() => undefined);
  await until('all are back', () => holds.areUp(), LOOK_MS).catch(() => undefined);
  agent.end();
  // Two questions: the first may have been on its way.
  const asked = agent.asked();
  await until('the controller is at rest', () => agent.asked() >= asked + 2, PATIENCE_MS);
  return job;
};

/** What was said of the applications, against what was true when the point was told. */
const tooGood = ({ holds }: Guest, jobs: readonly Job[], from: number): string[] =>
  jobs.flatMap(({ id, report, pointAt }, index) => {
    const since = jobs[index - 1]?.pointAt ?? from;
    return (report ?? []).flatMap(({ app, held }) => {
      if (!held || pointAt === null || holds.heldAt(app, pointAt)) return [];
      // A database that recovers from one instant needs no hold: then only one that was held and let go is a lie.
      const wasHeld = holds.holds.some((hold) => hold.app === app && hold.from >= since && hold.from <= pointAt);
      return app === 'db' && !wasHeld ? [] : [`${app} was reported as held in ${id}, and was not`];
    });
  });

const notHeld = (job: Job): string[] =>
  APPS.flatMap((name) => {
    const one = job.report?.find(({ app }) => app === name);
    return one?.held ? [] : [`${name} was not reported as held in ${job.id}: ${JSON.stringify(one ?? job.report)}`];
  });

const measure = (guest: Guest, { fault, app, at }: Struck, jobs: readonly Job[], settledAt: number, from: number) => {
  const holds = guest.holds.holds.filter(({ to }) => to === null || to >= from);
  const isLetGo = (hold: Hold) => hold.from <= settledAt && (fault.lets === 'all' || (fault.lets === 'one' && hold.app === app));
  const endOf = ({ to }: Hold) => to ?? now();
  const since = (hold: Hold): number => {
    if (isLetGo(hold)) return Math.max(at, hold.from);
    if (fault.lets === 'deadline' && hold.from <= settledAt) return Math.max(at, guest.holds.deadlineOf(hold));
    const point = jobs.find(({ pointAt }) => pointAt !== null && pointAt >= hold.from)?.pointAt;
    return Math.max(at, Math.min(point ?? Number.POSITIVE_INFINITY, guest.holds.deadlineOf(hold)));
  };
  const past = holds.map((hold) => endOf(hold) - guest.holds.deadlineOf(hold));
  return {
    backMs: Math.max(0, ...holds.filter((hold) => endOf(hold) >= at).map((hold) => endOf(hold) - since(hold))),
    pastDeadlineMs: past.length === 0 ? null : Math.max(...past),
    late: holds
      .filter((hold) => hold.to === null || hold.to - guest.holds.deadlineOf(hold) > PAST_DEADLINE_MS)
      .map((hold) => `${hold.app} was held ${Math.round(endOf(hold) - guest.holds.deadlineOf(hold))} ms past the deadline`),
    held: holds.length > 0,
  };
};

/** An attempt without a fault: all are held, it is said, and all come back. */
const nextWorks = async (guest: Guest): Promise<string[]> => {
  const { agent, holds } = guest;
  const before = agent.jobs.length;
  // systemd's socket is there all the time; this one only while somebody listens.
  await until('felhom-quiesced answers again', guest.quiesced.answers, PATIENCE_MS);
  agent.offer();
  await until('the next backup was requested', () => agent.jobs.length > before, PATIENCE_MS);
  holds.sample();
  const free = APPS.filter((app) => holds.isUp(app));
  const job = await toTheEnd(guest, before, guest.controllerStarts());
  return [
    ...free.map((app) => `${app} was not held in the next attempt`),
    ...notHeld(job),
    ...(holds.areUp() ? [] : ['not all are back after the next attempt']),
  ];
};

/** Whatever was held is off the lease, and the next attempt works: the one that the fault itself was followed by, or another. */
const afterwards = async (guest: Guest, jobs: readonly Job[], settledAt: number): Promise<string[]> => {
  const left = await until('the lease is gone', () => !guest.holds.isLeased(), LOOK_MS).then(
    () => [],
    () => ['the lease still names somebody'],
  );
  const last = jobs.at(-1) as Job;
  const isNext = last.postedAt > settledAt && notHeld(last).length === 0;
  return [...left, ...(isNext ? [] : await nextWorks(guest))];
};

export const playCell = async (guest: Guest, fault: FaultOf, moment: Moment, delayMs: number): Promise<Played> => {
  const { agent } = guest;
  const jobsBefore = agent.jobs.length;
  const startsBefore = guest.controllerStarts();
  const from = now();
  const struck = await strikeAt(guest, fault, moment, delayMs);
  await throughFault(guest, struck, jobsBefore);
  const settledAt = now();
  // Then there is no way on, and no use in waiting.
  const [stuck] = guest.holds.holds.filter(({ to }) => to === null);
  if (stuck)
    throw new Error(`${stuck.app} is held ${Math.round(settledAt - guest.holds.deadlineOf(stuck))} ms past the deadline`);
  guest.open('prepare', 'pre', 'post');
  // Told while nobody can act on it: all are back by now, so nothing may be claimed.
  if (fault.lets === 'deadline' && agent.jobs.length > jobsBefore) agent.point();
  await struck.over();
  await toTheEnd(guest, jobsBefore, startsBefore);
  const jobs = agent.jobs.slice(jobsBefore);
  const { late, held, ...figures } = measure(guest, struck, jobs, settledAt, from);
  const first = jobs[0] as Job;
  const isPrevented = fault.preventsLease === true && isEarly(moment);
  const broken = [
    ...late,
    ...tooGood(guest, jobs, from),
    ...(guest.isUntouched() ? [] : ['a container that was not running was started']),
    ...(fault.lets === 'goes-on' && !isPrevented ? notHeld(first) : []),
    ...(isPrevented && held ? ['something was held, and no lease can have been on the disk'] : []),
    ...(await afterwards(guest, jobs, settledAt)),
  ];
  return { ...figures, broken };
};
