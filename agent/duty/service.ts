/** The duty to back every guest up: decides when, offers it to the guest, and does it where the guest does not. */
import { rulesFor } from '#agent/config';
import { waitAtMost } from '#shared/clock';
import type { BackupDue } from '#shared/wire/backups';
import { createAlarms } from './alarms.ts';
import { createChecks } from './checks.ts';
import { createFallback, createStatuses } from './fallback.ts';
import { jitterOf } from './jitter.ts';
import { createLooks } from './looks.ts';
import { createOccurrences } from './occurrences.ts';
import { type DutyOverview, overviewOf } from './overview.ts';
import { createPatience } from './patience.ts';
import type { DutyPorts } from './ports.ts';
import { notDue, offered } from './reply.ts';
import { createRounds } from './rounds.ts';
import { createSlot } from './slot.ts';
import { createStarts } from './starts.ts';
import { createTurns } from './turns.ts';

/** A caller waits no longer for the prechecks. */
const CHECK_PATIENCE_MS = 5000;
const BEING_CHECKED = 'It is being checked whether a backup can start now.';

export const createDuty = (ports: DutyPorts) => {
  const { clock, settings, guests, backups, problems } = ports;
  const enrolled = (): number[] => guests().map(({ vmid }) => vmid);
  const occurrences = createOccurrences({ ...ports, delayMs: jitterOf(ports.hostId) });
  const looks = createLooks({ ...ports, enrolled, occurrences });
  const checks = createChecks(ports);
  const slot = createSlot(clock);
  const patience = createPatience(clock);
  const alarm = createAlarms({ problems, clock });
  const statuses = createStatuses(ports);
  const turns = createTurns({ looks, checks, slot, patience, backups, status: statuses.of });

  /** A backup of this guest began or ended. It is looked at now, before the wall clock can jump. */
  const settle = (vmid: number): void => {
    slot.done(vmid);
    patience.forget(vmid);
    checks.expire(vmid);
    if (enrolled().includes(vmid)) void looks.take(vmid).catch(() => {});
  };
  backups.onEnd(({ vmid }) => {
    settle(vmid);
    statuses.expire();
  });
  const starts = createStarts({ ...ports, looks, checks, slot, turns, enrolled, settle });

  const answer = (vmid: number): BackupDue | null => {
    const reason = turns.hindrance(vmid);
    if (reason !== null) return notDue(vmid, reason);
    const verdict = slot.offer()?.verdict ?? checks.fresh(vmid);
    return verdict?.ok ? offered(looks.of(vmid), slot.give(vmid, verdict), clock) : null;
  };

  /** From memory, unless it is this guest's turn and its prechecks are not of the last minute. */
  const due = async (vmid: number): Promise<BackupDue> => {
    patience.asks(vmid);
    await looks.take(vmid);
    const known = answer(vmid);
    if (known !== null) return known;
    await waitAtMost(clock, CHECK_PATIENCE_MS, checks.run(vmid));
    return answer(vmid) ?? notDue(vmid, BEING_CHECKED);
  };

  /** Nobody looks any more at a guest that was removed, so its problems end with it. */
  const clearRemoved = (): void => {
    const present = new Set<number | null>([null, ...enrolled()]);
    for (const { code, vmid } of problems.list()) if (!present.has(vmid)) problems.clear(code, vmid);
  };

  /** A problem of the prechecks ends with the next that passes, or with what waited for it. */
  const revisit = async (): Promise<void> => {
    for (const { vmid, decision } of looks.all()) {
      if (!decision.due && !decision.missed) checks.forget(vmid);
    }
    const wanted = looks.all().find(({ vmid }) => checks.wantsRevisit(vmid));
    if (wanted !== undefined && backups.running().length === 0) await checks.run(wanted.vmid);
  };

  /** Who waits for what, and since when. */
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
    clearRemoved();
  };

  const { tick, begin, close } = createRounds({
    ...ports,
    steps: {
      'foreign backups': () => backups.watchForeign(enrolled()),
      schedules: () => occurrences.refresh(enrolled().map((vmid) => rulesFor(settings(), vmid).schedule)),
      uptime: looks.lookAtUptime,
      decisions: looks.takeAll,
      waiting: account,
      problems: revisit,
      'the next backup': createFallback({ ...ports, looks, checks, slot, turns, statuses, starts }),
    },
  });

  const overview = async (): Promise<DutyOverview> => {
    await looks.takeAll();
    const facts = { looks: looks.all(), offer: slot.offer(), running: backups.running(), hindrance: turns.hindrance };
    return overviewOf(facts, clock);
  };

  return { due, start: starts.start, run: starts.run, overview, tick, begin, close };
};
