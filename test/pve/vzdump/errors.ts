/** How a worker's run can end other than well. */

/** The task was stopped, or the simulator closes. */
export class Interrupted extends Error {
  constructor() {
    super('interrupted by signal');
  }
}

/** This guest fails; the job goes on with the next. */
export class GuestFailed extends Error {}
