/** Problems that time makes: backups that are overdue or keep failing, schedules that say nothing. */

import type { JobRecord } from '#agent/backups/record';
import type { GuestRules } from '#agent/config';
import type { Problems } from '#agent/health/problems';
import type { Clock } from '#shared/clock';
import { attemptsOf } from './due.ts';
import type { Trouble } from './occurrences.ts';
import { counted, span } from './words.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Right after its start the agent has not yet looked whether a stopped guest is still as its archive has it. */
const SETTLE_MS = 15 * MINUTE_MS;
const AWAY_MS = 15 * MINUTE_MS;

export interface AlarmFacts {
  vmid: number;
  rules: Pick<GuestRules, 'maxAgeMs' | 'schedule'>;
  record: JobRecord;
  /** As for the decision: also a time at which a stopped guest was found unchanged. */
  lastGoodAt: number | null;
  trouble: Trouble;
  /** A list of the schedule's moments is there. */
  planned: boolean;
}

export interface AlarmPorts {
  problems: Pick<Problems, 'raise' | 'clear'>;
  clock: Pick<Clock, 'now' | 'monotonic'>;
}

export const createAlarms = ({ problems, clock }: AlarmPorts) => {
  const begun = clock.monotonic();
  const met = new Map<number, number>();

  const overdue = ({ vmid, rules, record, lastGoodAt }: AlarmFacts): void => {
    const settling = record.lastGood?.label === 'stopped' && clock.monotonic() - begun < SETTLE_MS;
    const age = lastGoodAt === null ? null : clock.now() - lastGoodAt;
    const late = age === null ? clock.monotonic() - (met.get(vmid) ?? 0) >= DAY_MS : age > 2 * rules.maxAgeMs;
    if (!late) problems.clear('backup-overdue', vmid);
    if (!late || settling) return;
    problems.raise({
      code: 'backup-overdue',
      vmid,
      sentence: age === null ? 'This guest was never backed up.' : 'The last good backup of this guest is far too old.',
      evidence: age === null ? 'no good backup' : `${span(age)} old, ${span(rules.maxAgeMs)} allowed`,
      nextStep: `Ask why it waits: felhom-agent backup due. Start one: felhom-agent backup run ${vmid}`,
    });
  };

  const failing = ({ vmid, record }: AlarmFacts): void => {
    const attempts = attemptsOf(record.failures.map(({ failure }) => failure));
    if (attempts < 2) problems.clear('backup-failing', vmid);
    if (attempts < 2) return;
    problems.raise({
      code: 'backup-failing',
      vmid,
      sentence: 'Backups of this guest keep failing; more attempts follow by themselves.',
      evidence: `${counted(attempts, 'attempt')} failed, the last with ${record.failures.at(-1)?.failure}`,
      nextStep: `Read why in the host's journal: journalctl -u felhom-agent --grep ${vmid}`,
    });
  };

  const unplanned = ({ vmid, rules, trouble, planned }: AlarmFacts): void => {
    if (trouble === null) problems.clear('schedule-unknown', vmid);
    const bearable = trouble?.kind === 'away' && (planned || clock.monotonic() - trouble.since < AWAY_MS);
    if (trouble === null || bearable) return;
    problems.raise({
      code: 'schedule-unknown',
      vmid,
      sentence: 'It is not known when backups of this guest are scheduled; one is made when the last grows too old.',
      evidence: `schedule "${rules.schedule}": ${trouble.kind === 'away' ? 'Proxmox could not be asked' : trouble.words}`,
      nextStep:
        trouble.kind === 'away'
          ? 'See that Proxmox answers on this host: systemctl status pveproxy pvedaemon'
          : 'Correct "schedule" in the settings of the agent; Proxmox shows what one means under Datacenter, Backup.',
    });
  };

  return (facts: AlarmFacts): void => {
    if (!met.has(facts.vmid)) met.set(facts.vmid, clock.monotonic());
    overdue(facts);
    failing(facts);
    unplanned(facts);
  };
};
