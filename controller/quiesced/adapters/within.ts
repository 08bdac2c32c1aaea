/** Waiting for an answer at most so long: adapters' own deadline, since a driver's would throw a waiting answer away after a freeze. */
import { afterAwake } from '#shared/quiesce/awake';
import { systemClock } from '../clock.ts';

/** Rejects with the sentence or the error when there is no answer after `ms` of being awake. What is asked goes on: its connection is to be ended. */
export const within = <T>(ms: number, answer: Promise<T>, late: string | Error): Promise<T> =>
  new Promise((resolve, reject) => {
    const cancel = afterAwake(systemClock, ms, () => reject(late instanceof Error ? late : new Error(late)));
    answer.then(resolve, reject).finally(cancel);
  });
