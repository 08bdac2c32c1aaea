/** What goes along with a job while its task runs: looks at it, and may change what is known of it. */
import type { Job } from './jobs.ts';
import type { LogFacts } from './log.ts';

export interface Run {
  job(): Job;
  facts(): LogFacts;
  change(change: Partial<Job>): void;
  /** Aborted when the task has ended, or the agent stops. */
  over: AbortSignal;
}

/** Never rejects, and ends soon after the run is over. */
export type Companion = (run: Run) => Promise<void>;
