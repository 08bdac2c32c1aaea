/** The agent's open problems, as findings. Pure. */
import type { ProblemCode, Severity } from '#shared/problems';
import type { Problem } from '#shared/wire/problems';
import type { Finding } from './finding.ts';
import type { Overview } from './overview.ts';

const open = ({ problems }: Overview): Problem[] => (problems.known ? problems.value.problems : []);

/** Whether the agent says so itself, in better words. */
export const isReported = (overview: Overview, code: ProblemCode): boolean => open(overview).some((one) => one.code === code);

const of = (overview: Overview, wanted: Severity): Finding[] =>
  open(overview)
    .filter(({ severity }) => severity === wanted)
    .map(({ code, sentence, next_step, severity, since }) => ({ code, sentence, next: next_step, severity, since }));

/** The worst first. */
export const problemFindings = (overview: Overview): Finding[] => [...of(overview, 'critical'), ...of(overview, 'warning')];

/** Good to know: nothing that needs attention. */
export const notices = (overview: Overview): Finding[] => of(overview, 'notice');
