/** What is known of every guest and what follows from it: in memory, so that fifty guests may ask at once. */

import type { JobRecord } from '#agent/backups/record';
import { believed } from '#agent/believed';
import { type AgentConfig, rulesFor } from '#agent/config';
import type { LocalTime, OffsetAt } from '#agent/ports/local-time';
import type { Clock } from '#shared/clock';
import type { AlarmFacts } from './alarms.ts';
import { createAnchors } from './anchors.ts';
import { attemptsOf, type Decision, decide } from './due.ts';
import type { Occurrences } from './occurrences.ts';

export interface Look extends AlarmFacts {
  rules: ReturnType<typeof rulesFor>;
  decision: Decision;
  sinceStartMs: number;
  /** Failed ones since the last good one. */
  attempts: number;
}

export interface LookPorts {
  backups: { record(vmid: number): Promise<JobRecord> };
  clock: Clock;
  settings: () => AgentConfig['backup'];
  uptimeMs: () => Promise<number>;
  localTime: LocalTime;
  enrolled: () => readonly number[];
  occurrences: Pick<Occurrences, 'load' | 'of' | 'trouble'>;
}

const KEPT_MS = 1000;

export type Looks = ReturnType<typeof createLooks>;

export const createLooks = ({ backups, clock, settings, uptimeMs, localTime, enrolled, occurrences }: LookPorts) => {
  const looks = new Map<number, Look>();
  let takenAllAt = Number.NEGATIVE_INFINITY;
  const anchors = createAnchors(clock);
  const offsets = new Map<string, OffsetAt>();
  /** Stopped guests that were found as their last archive has them, and when. */
  const current = new Map<number, { archive: string; at: number }>();
  /** The host's boot, by the monotonic clock. */
  let bootedAt: number | null = null;

  /** Until Proxmox has told the host's zone: this process's own. */
  const offsetIn = (zone: string | undefined): OffsetAt => {
    if (zone === undefined) return localTime.here;
    const known = offsets.get(zone) ?? localTime.inZone(zone) ?? localTime.here;
    offsets.set(zone, known);
    return known;
  };

  const currentAt = (vmid: number, record: JobRecord): number | null => {
    const found = current.get(vmid);
    return found && found.archive === record.lastGood?.archive ? found.at : null;
  };

  const look = (vmid: number, record: JobRecord): Look => {
    const rules = rulesFor(settings(), vmid);
    const kept = occurrences.of(rules.schedule);
    const now = clock.now();
    const failures = record.failures.map(({ failure }) => failure);
    const failedAt = record.failures.at(-1)?.endedAt;
    const found = currentAt(vmid, record);
    const { lastStartAt } = record;
    const sinceStartMs = lastStartAt === null ? Number.POSITIVE_INFINITY : anchors.since(`start ${vmid}`, lastStartAt);
    const lastGoodAt = latest(record.lastGoodAt, found, now);
    const decision = decide({
      now,
      rules,
      occurrences: kept?.delayed ?? [],
      offsetAt: offsetIn(kept?.zone),
      uptimeMs: bootedAt === null ? Number.POSITIVE_INFINITY : clock.monotonic() - bootedAt,
      lastGoodAt,
      answeredAt: latest(record.answeredAt, found, now),
      lastStartAt,
      sinceStartMs,
      failures,
      sinceFailureMs: failedAt === undefined ? Number.POSITIVE_INFINITY : anchors.since(`failure ${vmid}`, failedAt),
    });
    const known = { vmid, rules, record, lastGoodAt, trouble: occurrences.trouble(rules.schedule), planned: kept !== null };
    return { ...known, decision, sinceStartMs, attempts: attemptsOf(failures) };
  };

  const take = async (vmid: number): Promise<Look> => {
    await occurrences.load();
    const taken = look(vmid, await backups.record(vmid));
    looks.set(vmid, taken);
    return taken;
  };

  /** One guest whose record cannot be read never hides the others. */
  const takeAll = async (): Promise<void> => {
    const present = enrolled();
    takenAllAt = clock.monotonic();
    for (const vmid of looks.keys()) if (!present.includes(vmid)) looks.delete(vmid);
    const taken = await Promise.allSettled(present.map(take));
    const failed = taken.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
  };

  return {
    /** This guest's anew; the others' are not older than a second. */
    take: async (vmid: number): Promise<Look> => {
      if (clock.monotonic() - takenAllAt >= KEPT_MS || enrolled().some((one) => !looks.has(one))) await takeAll().catch(() => {});
      return take(vmid);
    },
    takeAll,
    /** As it was looked at last. */
    of: (vmid: number): Look => {
      const known = looks.get(vmid);
      if (known === undefined) throw new Error(`guest ${vmid} was not looked at`);
      return known;
    },
    all: (): Look[] => [...looks.values()],
    lookAtUptime: async (): Promise<void> => {
      bootedAt ??= clock.monotonic() - (await uptimeMs());
    },
    foundCurrent: (vmid: number, { lastGood }: JobRecord): void => {
      if (lastGood) current.set(vmid, { archive: lastGood.archive, at: clock.now() });
    },
  };
};

/** The later of two times; one in the future counts only where there is no other. */
const latest = (at: number | null, found: number | null, now: number): number | null => {
  const other = believed(found, now);
  if (other === null) return at;
  return at === null || believed(at, now) === null ? other : Math.max(at, other);
};
