/** What is wrong now: raised and cleared by whoever knows, kept over a restart, told once at each change. */
import type { Journal } from '#agent/ports/journal';
import type { Store } from '#agent/ports/store';
import type { Clock } from '#shared/clock';
import { PROBLEMS, type ProblemCode, type Severity } from '#shared/problems';

export interface Problem {
  code: ProblemCode;
  severity: Severity;
  /** Null: the whole host. */
  vmid: number | null;
  sentence: string;
  evidence: string;
  nextStep: string;
  /** Milliseconds since 1970. */
  since: number;
}

export type NewProblem = Pick<Problem, 'code' | 'vmid' | 'sentence' | 'evidence' | 'nextStep'>;

export interface ProblemChange {
  kind: 'raised' | 'cleared';
  problem: Problem;
}

export interface ProblemPorts {
  store: Store;
  clock: Clock;
  journal: Journal;
}

export type Problems = Awaited<ReturnType<typeof loadProblems>>;

/** How bad, so that a log's reader sees it. */
const LEVEL = { critical: 'error', warning: 'warning', notice: 'notice' } as const;

export const loadProblems = async ({ store, clock, journal }: ProblemPorts) => {
  const open = new Map<string, Problem>();
  const listeners = new Set<(change: ProblemChange) => void>();
  const keyOf = (code: ProblemCode, vmid: number | null) => `${code} ${vmid ?? 0}`;

  type Row = Omit<Problem, 'severity' | 'nextStep' | 'vmid'> & { vmid: number; next_step: string };
  for (const { next_step, vmid, ...row } of await store.all<Row>('SELECT * FROM problems')) {
    const problem = { ...row, vmid: vmid === 0 ? null : vmid, nextStep: next_step, severity: PROBLEMS[row.code] };
    if (row.code in PROBLEMS) open.set(keyOf(problem.code, problem.vmid), problem);
  }

  /** A problem that cannot be recorded is a problem all the same. */
  const keep = (sql: string, values: (string | number)[]): void => {
    store.write({ sql, values }).catch((error: unknown) => {
      journal('error', 'A problem could not be recorded.', { why: String(error) });
    });
  };

  const tell = (kind: ProblemChange['kind'], problem: Problem): void => {
    const { code, vmid, evidence } = problem;
    const fields = { code, vmid: vmid ?? undefined, evidence };
    if (kind === 'raised') journal(LEVEL[problem.severity], `Problem: ${problem.sentence}`, fields);
    else journal('notice', `No longer a problem: ${problem.sentence}`, fields);
    for (const listener of listeners) listener({ kind, problem });
  };

  return {
    /** Raised again it keeps its `since`; its words become the newest. */
    raise: (problem: NewProblem): void => {
      const key = keyOf(problem.code, problem.vmid);
      const known = open.get(key);
      const { code, vmid, sentence, evidence, nextStep } = problem;
      if (known?.sentence === sentence && known.evidence === evidence && known.nextStep === nextStep) return;
      const raised = { ...problem, severity: PROBLEMS[code], since: known?.since ?? clock.now() };
      open.set(key, raised);
      keep('INSERT OR REPLACE INTO problems (code, vmid, since, sentence, evidence, next_step) VALUES (?, ?, ?, ?, ?, ?)', [
        ...[code, vmid ?? 0, raised.since],
        ...[sentence, evidence, nextStep],
      ]);
      if (!known) tell('raised', raised);
    },
    clear: (code: ProblemCode, vmid: number | null): void => {
      const known = open.get(keyOf(code, vmid));
      if (!known) return;
      open.delete(keyOf(code, vmid));
      keep('DELETE FROM problems WHERE code = ? AND vmid = ?', [code, vmid ?? 0]);
      tell('cleared', known);
    },
    /** Of one guest and the whole host; without a guest, all. Oldest first. */
    list: (vmid?: number): Problem[] =>
      [...open.values()]
        .filter((problem) => vmid === undefined || problem.vmid === null || problem.vmid === vmid)
        .sort((a, b) => a.since - b.since),
    onChange: (listener: (change: ProblemChange) => void): void => {
      listeners.add(listener);
    },
  };
};
