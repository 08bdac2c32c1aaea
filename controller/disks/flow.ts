/** What a flow of the drives works with, and how it ends. Types only. */
import type { Clock } from '#shared/clock';
import type { AgentClient } from '../ports/agent-client.ts';

/** The person, or the script, at the other end. */
export interface Talk {
  /** An answer: lines that stand as they are, so that they can be copied. */
  answer(...lines: readonly string[]): void;
  /** Anything else there is to say: made inert and wrapped. */
  tell(text: string): void;
  /** What was typed, or null where the person gave up. Null itself: nobody is at a terminal, so nothing can be confirmed. */
  ask: ((question: string) => Promise<string | null>) | null;
  /** Characters of a line. */
  columns: number;
}

export interface FlowPorts {
  agent: Pick<AgentClient, 'call'>;
  clock: Clock;
  talk: Talk;
  /** The person does not wait any longer; what was begun goes on. */
  signal: AbortSignal;
}

/**
 * `refused`: nothing more will happen. `not-known`: it goes on, or it cannot be known what became of it. The others: what is
 * missing before it can be done.
 */
export type Outcome = 'done' | 'refused' | 'needs-confirmation' | 'needs-operator' | 'not-known';
