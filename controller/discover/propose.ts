/** A quiesce.yaml from what was found in the guest, and what it cannot cover. Pure. */
import { dockerContainers } from './containers.ts';
import { databases } from './databases.ts';
import type { Findings } from './findings.ts';
import { type Proposal, withUniqueNames } from './proposal.ts';
import { insideOthers, services } from './services.ts';
import { sqliteDatabases } from './sqlite.ts';

/** Held in this order: what a service needs comes after it, so containers and units before the databases that they may use. */
const SOURCES = [dockerContainers, services, databases, sqliteDatabases, insideOthers] as const;

const hidden = ({ hidden }: Findings): string[] =>
  hidden === 0
    ? []
    : [
        `The files of ${hidden} processes of other accounts: SQLite databases, services and data on them may be missing here. Run it as root.`,
      ];

export const propose = (findings: Findings): Proposal => {
  const parts = SOURCES.flatMap((source) => source(findings));
  const proposed = withUniqueNames(parts.flatMap((part) => part.proposed ?? []));
  return {
    // What a person has to decide comes last.
    proposed: [...proposed.filter(({ active }) => active), ...proposed.filter(({ active }) => !active)],
    uncovered: parts.flatMap((part) => part.uncovered ?? []),
    unseen: [...parts.flatMap((part) => part.unseen ?? []), ...hidden(findings)],
    notes: parts.flatMap((part) => part.notes ?? []),
  };
};
