/** A quiesce.yaml from what was found in the guest, and what it cannot cover. Pure. */
import { MOST_APPS } from '#shared/quiesce/config';
import { dockerContainers } from './containers.ts';
import { databases } from './databases.ts';
import type { Findings } from './findings.ts';
import { type Proposal, type Proposed, withUniqueNames } from './proposal.ts';
import { insideOthers, services } from './services.ts';
import { sqliteDatabases } from './sqlite.ts';

/** What is too much for one file is left for a person to choose from. */
const atMost = (proposed: readonly Proposed[]): Proposed[] => {
  const active = proposed.filter((one) => one.active);
  return proposed.map((one) => (active.indexOf(one) < MOST_APPS ? one : { ...one, active: false }));
};

const tooMany = (proposed: readonly Proposed[]): string[] => {
  const over = proposed.filter(({ active }) => active).length - MOST_APPS;
  return over <= 0
    ? []
    : [`quiesce.yaml may name ${MOST_APPS} applications; ${over} more are below as comments, to choose from.`];
};

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
  const all = withUniqueNames(parts.flatMap((part) => part.proposed ?? []));
  const proposed = atMost(all);
  return {
    // What a person has to decide comes last.
    proposed: [...proposed.filter(({ active }) => active), ...proposed.filter(({ active }) => !active)],
    uncovered: [...parts.flatMap((part) => part.uncovered ?? []), ...tooMany(all)],
    unseen: [...parts.flatMap((part) => part.unseen ?? []), ...hidden(findings)],
    notes: parts.flatMap((part) => part.notes ?? []),
  };
};
