/** How a worker's run can end other than well. */

import { WorkerDied } from '../tasks.ts';

/** The task was stopped, or the simulator closes. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted by signal');
  }
}

/** What ends a worker whose signal is aborted: a stop lets it clean up, a kill does not. */
export const endOf = ({ reason }: AbortSignal): Error => (reason instanceof WorkerDied ? reason : new Interrupted());

/** This guest fails; the job goes on with the next. */
export class GuestFailed extends Error {}
