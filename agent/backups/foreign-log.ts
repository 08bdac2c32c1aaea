/** Reads the log of a vzdump that is not ours: one task may cover several guests, a section each (PVE/VZDump.pm). */
import { type LogFacts, NOTHING_READ, readLine } from './log.ts';

export interface Section {
  log: LogFacts;
  /** vzdump's own word on this guest. */
  verdict: 'none' | 'finished' | 'failed';
  /** How long it took, where vzdump says so. */
  seconds: number | null;
}

export interface ForeignFacts {
  /** Empty where the command line names none. */
  storage: string;
  /** The guest whose section is being read. */
  current: number | null;
  sections: ReadonlyMap<number, Section>;
  /** Of the whole task. */
  log: LogFacts;
}

export const NOTHING_FOREIGN: ForeignFacts = { storage: '', current: null, sections: new Map(), log: NOTHING_READ };

const COMMAND = /^INFO: starting new backup job: vzdump .*?--storage '?([A-Za-z][A-Za-z0-9._-]*)'?(?: |$)/;
const BEGIN = /^INFO: Starting Backup of VM (\d+) \((?:lxc|qemu)\)$/;
const FINISHED = /^INFO: Finished Backup of VM (\d+) \((\d+):(\d+):(\d+)\)$/;
const FAILED = /^ERROR: Backup of VM (\d+) failed - /;

const EMPTY: Section = { log: NOTHING_READ, verdict: 'none', seconds: null };

/** A guest's verdict stands only in its own section, and a failure is never taken back. */
const judged = (section: Section, vmid: number, line: string): Section => {
  if (Number(FAILED.exec(line)?.[1]) === vmid) return { ...section, verdict: 'failed' };
  const [, id, hours, minutes, seconds] = FINISHED.exec(line) ?? [];
  if (Number(id) !== vmid || section.verdict === 'failed') return section;
  return { ...section, verdict: 'finished', seconds: Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds) };
};

export const readForeignLine = (facts: ForeignFacts, line: string): ForeignFacts => {
  const log = readLine(facts.log, line);
  const storage = facts.storage || (facts.log.lines === 0 ? (COMMAND.exec(line)?.[1] ?? '') : '');
  const begun = BEGIN.exec(line)?.[1];
  const current = begun === undefined ? facts.current : Number(begun);
  if (current === null) return { ...facts, log, storage };
  const known = facts.sections.get(current) ?? EMPTY;
  const section = judged({ ...known, log: readLine(known.log, line) }, current, line);
  return { log, storage, current, sections: new Map(facts.sections).set(current, section) };
};
