/** What assign, eject and reconcile share: one deed at a time, and the same view of what is assigned. Types only. */
import type { Clock } from '#shared/clock';
import type { Journal } from '../../ports/journal.ts';
import type { InTurn } from '../../turn.ts';
import type { Current } from '../known/current.ts';
import type { Records, Who } from '../known/records.ts';
import type { Mounting } from './mounting.ts';

export interface DeedPorts {
  clock: Clock;
  journal: Journal;
  current: Pick<Current, 'fresh' | 'last' | 'changed'>;
  records: Pick<Records, 'drives' | 'assignments' | 'setOwner' | 'saveAssignment' | 'setAssignmentState' | 'removeAssignment'>;
  mounting: Mounting;
  /** The same for all deeds. */
  inTurn: InTurn;
  /** Durable before it answers. */
  audit: (who: Who, what: string, details: object) => Promise<void>;
}
