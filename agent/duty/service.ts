/** The duty to back every guest up: decides when, offers it to the guest, and does it where the guest does not. */

import type { Job, JobSource } from '#agent/backups/jobs';
import type { JobRecord } from '#agent/backups/record';
import { startedView } from '#agent/backups/view';
import { type AgentConfig, rulesFor } from '#agent/config';
import type { Problems } from '#agent/health/problems';
import type { Journal } from '#agent/ports/journal';
import type { GuestResource, Proxmox } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import { createTurn } from '#agent/turn';
import { type Clock, sleep } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { BackupDue, BackupStarted, StartBackup } from '#shared/wire/backups';
import { createAlarms } from './alarms.ts';
import { type CheckPorts, createChecks, type Passed } from './checks.ts';
import { type CurrentPorts, createStillCurrent } from './current.ts';
import { jitterOf } from './jitter.ts';
import { createLimits } from './limits.ts';
import { createLooks, type Look } from './looks.ts';
import { createOccurrences } from './occurrences.ts';
import { createPatience } from './patience.ts';
import { inOrder } from './queue.ts';
import { refusalError } from './refusal.ts';
import { notDue, offered } from './reply.ts';
import { createSlot } from './slot.ts';

/** What duty asks of the jobs. */
export interface DutyBackups {
  begin(order: {
    vmid: number;
    requestId: string | null;
    source: JobSource;
    mode: Passed['mode'];
    configDigest: string;
  }): Promise<Job>;
  byRequest(vmid: number, requestId: string): Promise<Job | null>;
  running(): readonly Job[];
  record(vmid: number): Promise<JobRecord>;
  watchForeign(enrolled: readonly number[]): Promise<void>;
  onEnd(listener: (job: Job) => void): void;
}

export interface EnrolledGuest {
  vmid: number;
  /** Of its controller's last call; null before the first since the agent's start. */
  lastSeenAt: number | null;
}

export interface DutyPorts {
  store: Pick<Store, 'all' | 'write'>;
  proxmox: Pick<Proxmox, 'analyzeSchedule' | 'timezone' | 'guestTasks' | 'resources'>;
  clock: Clock;
  journal: Journal;
  settings: () => AgentConfig['backup'];
  hostId: string;
  /** Since the host's boot. */
  uptimeMs: () => Promise<number>;
  guests: () => readonly EnrolledGuest[];
  backups: DutyBackups;
  prechecks: CheckPorts['prechecks'];
  archives: CurrentPorts['archives'];
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
}

export interface GuestDuty {
  vmid: number;
  due: boolean;
  reason: string;
  /** Milliseconds since 1970; null: not known. */
  nextAt: number | null;
  lastGoodAt: number | null;
  failures: number;
  offeredUntil: number | null;
}
export interface DutyOverview {
  guests: GuestDuty[];
  /** Why no backup can be offered to anybody; empty where one can. */
  busy: string;
}

export type Duty = ReturnType<typeof createDuty>;

const TICK_MS = 10_000;
/** A round that has not ended after this is given up, so that one lost answer does not end all backups. */
const GIVE_UP_MS = 10 * 60_000;
/** A caller waits no longer for the prechecks. */
const CHECK_PATIENCE_MS = 5000;
const STATUSES_MS = 60_000;
/** A first guest that has not asked yet is checked again after this. */
const IDLE_CHECK_MS = 5 * 60_000;

const ELSEWHERE = "Another guest's backup is running on this host.";
const OTHERS_TURN = "Another guest's backup comes first on this host.";
const BEING_CHECKED = 'It is being checked whether a backup can start now.';

export const createDuty = (ports: DutyPorts) => {
  const { proxmox, clock, journal, settings, guests, backups, problems } = ports;
  const delayMs = jitterOf(ports.hostId);
  const occurrences = createOccurrences({ ...ports, delayMs });
  const looks = createLooks({ ...ports, occurrences });
  const checks = createChecks(ports);
  const slot = createSlot(clock);
  const patience = createPatience(clock);
  const limits = createLimits(clock);
  const alarm = createAlarms({ problems, clock });
  const isStillCurrent = createStillCurrent(ports);
  /** Two starts at once never see the slot free both. */
  const inTurn = createTurn();
  const closing = new AbortController();
  let statuses = new Map<number, GuestResource['status']>();
  let statusesAt = Number.NEGATIVE_INFINITY;

  const enrolled = (): number[] => guests().map(({ vmid }) => vmid);
  const runs = (vmid: number): 'here' | 'elsewhere' | null => {
    const running = backups.running();
    return running.some((job) => job.vmid === vmid) ? 'here' : running.length > 0 ? 'elsewhere' : null;
  };

  backups.onEnd((job) => {
    slot.done(job.vmid);
    patience.forget(job.vmid);
    checks.expire(job.vmid);
    statusesAt = Number.NEGATIVE_INFINITY;
  });

  /** Those that are due, first one first. */
  const dueInOrder = (): Look[] => {
    const waiting = looks.all().flatMap((look) => {
      const { vmid, decision, lastGoodAt } = look;
      if (!decision.due) return [];
      const { since, kind } = decision;
      const facts = { vmid, since, dataOf: lastGoodAt ?? Number.NEGATIVE_INFINITY, retry: kind === 'retry' };
      return [{ look, ...facts, stopped: statuses.get(vmid) === 'stopped', lapsed: slot.isLapsed(vmid) }];
    });
    return inOrder(waiting).map(({ look }) => look);
  };
  /** Those of them that could start, as far as is known. */
  const queue = (): Look[] => dueInOrder().filter(({ vmid }) => checks.refusal(vmid) === null);

  /** It had its time to take the backup. */
  const isGivenUp = ({ vmid, rules }: Look): boolean => patience.waitedMs(vmid) >= rules.fallbackAfterMs;

  /** Why this guest gets no offer now; null where it gets one as soon as it is checked. */
  const hindrance = (vmid: number): string | null => {
    const running = runs(vmid);
    if (running === 'here') return 'A backup of this guest is running.';
    const { decision } = looks.of(vmid);
    if (!decision.due) return decision.reason;
    if (running === 'elsewhere') return ELSEWHERE;
    const offer = slot.offer();
    if (offer !== null) return offer.vmid === vmid ? null : OTHERS_TURN;
    const refusal = checks.refusal(vmid);
    if (refusal !== null) return refusal.sentence;
    if (isGivenUp(looks.of(vmid))) return 'The host makes this backup by itself, because it was not taken in time.';
    return queue()[0]?.vmid === vmid ? null : OTHERS_TURN;
  };

  /** From memory, unless it is this guest's turn and its prechecks are not of the last minute. */
  const due = async (vmid: number): Promise<BackupDue> => {
    await looks.take(vmid, enrolled());
    const known = answer(vmid);
    if (known !== null) return known;
    await Promise.race([checks.run(vmid), sleep(clock, CHECK_PATIENCE_MS, closing.signal)]);
    return answer(vmid) ?? notDue(vmid, BEING_CHECKED);
  };

  const answer = (vmid: number): BackupDue | null => {
    const reason = hindrance(vmid);
    if (reason !== null) return notDue(vmid, reason);
    const verdict = slot.offer()?.verdict ?? checks.fresh(vmid);
    return verdict?.ok ? offered(looks.of(vmid), slot.give(vmid, verdict), clock) : null;
  };

  /** The job that answers a request already, or as what a new one counts. */
  const answering = async (vmid: number, requestId: string | undefined): Promise<{ job: Job } | { source: JobSource }> => {
    const same = requestId === undefined ? null : await backups.byRequest(vmid, requestId);
    const job = same ?? backups.running().find((one) => one.vmid === vmid);
    if (job) return { job };
    requireFree(vmid);
    const { decision, record, sinceStartMs, rules } = await looks.take(vmid, enrolled());
    if (decision.due || slot.offer()?.vmid === vmid) return { source: 'schedule' };
    limits.require(vmid, { recorded: record.guestStarts.length, sinceStartMs, minIntervalMs: rules.minIntervalMs });
    return { source: 'guest' };
  };

  const requireFree = (vmid: number): void => {
    const offer = slot.offer();
    if (backups.running().length > 0) throw new FelhomError('backup-slot-busy', `${ELSEWHERE} Try again when it is done.`);
    if (offer !== null && offer.vmid !== vmid)
      throw new FelhomError('backup-slot-busy', `${OTHERS_TURN} Try again in a few minutes.`);
  };

  /** Not longer ago than a minute. */
  const passed = async (vmid: number): Promise<Passed> => {
    const verdict = await checks.run(vmid);
    if (verdict.ok) return verdict;
    throw refusalError(verdict);
  };

  const begin = async (verdict: Passed, source: JobSource, requestId: string | null): Promise<Job> => {
    const { guest, mode, configDigest, warnings } = verdict;
    const { vmid } = guest;
    const job = await backups.begin({ vmid, requestId, source, mode, configDigest });
    if (source === 'guest') limits.started(vmid);
    if (source === 'schedule') problems.clear('guest-absent', vmid);
    slot.done(vmid);
    patience.forget(vmid);
    checks.expire(vmid);
    for (const warning of warnings) journal('warning', warning, { vmid, job: job.jobId });
    return job;
  };

  const start = async (vmid: number, { request_id }: StartBackup): Promise<BackupStarted> => {
    const known = await inTurn(() => answering(vmid, request_id));
    if ('job' in known) return startedView(known.job);
    const verdict = await passed(vmid);
    return inTurn(async () => {
      const now = await answering(vmid, request_id);
      return startedView('job' in now ? now.job : await begin(verdict, now.source, request_id ?? null));
    });
  };

  /** For the operator: what must hold must hold, but nothing is too early. */
  const run = async (vmid: number): Promise<BackupStarted> => {
    if (!enrolled().includes(vmid))
      throw new FelhomError('guest-not-enrolled', `Guest ${vmid} is not enrolled. "felhom-agent guest list" shows who is.`);
    const own = (): Job | undefined => backups.running().find((job) => job.vmid === vmid);
    const early = own();
    if (early !== undefined) return startedView(early);
    requireFree(vmid);
    const verdict = await passed(vmid);
    return inTurn(async () => {
      const job = own();
      if (job !== undefined) return startedView(job);
      requireFree(vmid);
      return startedView(await begin(verdict, 'operator', null));
    });
  };

  /** Which guests run: asked once a minute at most, while somebody waits for the slot. */
  const lookAtStatuses = async (): Promise<void> => {
    if (clock.monotonic() - statusesAt < STATUSES_MS) return;
    statusesAt = clock.monotonic();
    const { guests: known } = await proxmox.resources().catch(() => ({ guests: [] as GuestResource[] }));
    if (known.length > 0) statuses = new Map(known.map(({ vmid, status }) => [vmid, status]));
  };

  /** Why the guest is not waited for; null while it is. */
  const ripe = (look: Look): string | null => {
    if (statuses.get(look.vmid) === 'stopped') return 'It is not running.';
    if (patience.isSilent(look.vmid)) return 'Its controller is silent.';
    return isGivenUp(look) ? 'Its controller did not take the offer.' : null;
  };

  /** The first of the queue, unless it has just let its turn pass. */
  const first = (): Look | undefined => {
    const [head] = queue();
    return head && slot.turnOf(head.vmid) ? queue()[0] : head;
  };

  const serveFirst = async (): Promise<void> => {
    if (backups.running().length > 0 || slot.offer() !== null) return;
    const refused = dueInOrder().find(({ vmid }) => checks.refusal(vmid) !== null && checks.isRefusalOld(vmid));
    if (refused !== undefined) await checks.run(refused.vmid);
    if (queue().length === 0) return;
    await lookAtStatuses();
    const head = first();
    if (head === undefined || (ripe(head) === null && checks.agoMs(head.vmid) < IDLE_CHECK_MS)) return;
    const verdict = await checks.run(head.vmid);
    if (!verdict.ok) return;
    statuses.set(head.vmid, verdict.guest.status);
    const why = ripe(head);
    if (why !== null && queue()[0]?.vmid === head.vmid) await fallBack(head, verdict, why);
  };

  /** The agent's own run, without the guest. */
  const fallBack = async ({ vmid, record }: Look, verdict: Passed, why: string): Promise<void> => {
    if (await isStillCurrent(verdict, record)) {
      journal('info', 'A stopped guest is still as its last archive has it, so no backup is made.', { vmid });
      return looks.foundCurrent(vmid, record);
    }
    await inTurn(async () => {
      const { decision } = await looks.take(vmid, enrolled());
      if (!decision.due || backups.running().length > 0 || slot.offer() !== null) return;
      journal('notice', 'The agent backs a guest up by itself.', { vmid, why });
      if (verdict.guest.status === 'running') absent(vmid, why);
      else problems.clear('guest-absent', vmid);
      await begin(verdict, 'agent', null);
    });
  };

  const absent = (vmid: number, why: string): void =>
    problems.raise({
      code: 'guest-absent',
      vmid,
      sentence: 'The host backed this guest up without its applications taking part: nothing in the guest took the backup.',
      evidence: why,
      nextStep: 'See that the controller runs in the guest and can reach the host: systemctl status felhom-controller',
    });

  /** A problem of the prechecks ends with the next that passes, or with what waited for it. */
  const revisit = async (): Promise<void> => {
    for (const { vmid, decision } of looks.all()) {
      if (!decision.due && !decision.missed) checks.forget(vmid);
    }
    const wanted = looks.all().find(({ vmid }) => checks.wantsRevisit(vmid));
    if (wanted !== undefined && backups.running().length === 0) await checks.run(wanted.vmid);
  };

  const account = (): void => {
    const waiting = looks.all().filter(({ decision }) => decision.due);
    const free = backups.running().length === 0;
    for (const { vmid, lastSeenAt } of guests()) patience.heard(vmid, lastSeenAt);
    patience.count(
      waiting.map(({ vmid }) => vmid),
      (vmid) => free && checks.refusal(vmid) === null,
    );
    for (const { vmid, decision } of looks.all()) if (!decision.due) slot.done(vmid);
    for (const look of looks.all()) alarm(look);
  };

  const told = new Map<string, string>();
  /** One thing that does not work never keeps the others from being done. */
  const step = async (what: string, act: () => Promise<void> | void): Promise<void> => {
    try {
      await act();
      told.delete(what);
    } catch (error) {
      const why = String(error);
      if (told.get(what) === why || closing.signal.aborted) return;
      told.set(what, why);
      journal('error', 'A part of the scheduling does not work.', { what, why });
    }
  };

  const round = async (): Promise<void> => {
    const schedules = enrolled().map((vmid) => rulesFor(settings(), vmid).schedule);
    await step('foreign backups', () => backups.watchForeign(enrolled()));
    await step('schedules', () => occurrences.refresh(schedules));
    await step('uptime', looks.lookAtUptime);
    await step('decisions', () => looks.takeAll(enrolled()));
    await step('accounts', account);
    await step('problems', revisit);
    await step('the next backup', serveFirst);
  };

  let flight: { done: Promise<void>; begun: number } | null = null;
  const tick = (): Promise<void> => {
    if (flight !== null && clock.monotonic() - flight.begun < GIVE_UP_MS) return flight.done;
    const own = { done: Promise.resolve(), begun: clock.monotonic() };
    flight = own;
    own.done = round().finally(() => {
      if (flight === own) flight = null;
    });
    return own.done;
  };

  const overview = async (): Promise<DutyOverview> => {
    await looks.takeAll(enrolled());
    const offer = slot.offer();
    const until = offer && clock.now() + offer.until - clock.monotonic();
    const [running] = backups.running();
    const busy = running ? `A backup of guest ${running.vmid} is running.` : '';
    return {
      guests: looks.all().map(({ vmid, decision, record, lastGoodAt, attempts }) => ({
        vmid,
        due: decision.due,
        reason: (record && decision.due && hindrance(vmid)) || decision.reason,
        nextAt: decision.due ? clock.now() : decision.nextAt,
        lastGoodAt,
        failures: attempts,
        offeredUntil: offer?.vmid === vmid ? until : null,
      })),
      busy: offer && busy === '' ? `The slot is offered to guest ${offer.vmid}.` : busy,
    };
  };

  const loop = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      await Promise.race([tick(), sleep(clock, GIVE_UP_MS, closing.signal)]);
      await sleep(clock, TICK_MS, closing.signal);
    }
  };

  return {
    due,
    start,
    run,
    overview,
    tick,
    begin: (): void => void loop(),
    close: async (): Promise<void> => {
      closing.abort();
      await Promise.race([flight?.done, sleep(clock, 1000)]);
    },
  };
};
