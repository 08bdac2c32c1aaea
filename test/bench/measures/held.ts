/** How long the application is held when the copy takes long: the length of the copy must not matter. */
import { atMost, type Figure } from '../figure.ts';
import { backupEnded, type Moment, startController, startHost } from '../host.ts';
import type { Measure } from '../measure.ts';
import type { Scope } from '../scope.ts';

/** Noise of two held times on a machine that others use too; the copies differ by tens of seconds. */
const MAY_DIFFER_SECONDS = 0.5;

const heldSeconds = (moments: readonly Moment[]): number => {
  const [pre, post] = moments;
  if (pre?.step !== 'pre' || post?.step !== 'post')
    throw new Error(`the application was not held once: ${JSON.stringify(moments)}`);
  return (post.atMs - pre.atMs) / 1000;
};

/** One host, one backup, to its end. */
const holdOnce = async (scope: Scope, copySeconds: number): Promise<Figure> => {
  const host = await startHost(scope, { lineDelayMs: 20 });
  host.pve.vzdumpFaults.copyMs = copySeconds * 1000;
  const controller = await startController(scope, host, '1s');
  const began = performance.now();
  const { phase, label, error } = await backupEnded(host, controller, copySeconds * 1000 + 60_000);
  if (phase !== 'done') throw new Error(`the backup failed: ${error}`);
  const wholeSeconds = (performance.now() - began) / 1000;
  if (wholeSeconds < copySeconds) throw new Error(`the copy took ${wholeSeconds} s and should have taken ${copySeconds} s`);
  return {
    name: `held while the copy takes ${copySeconds} s`,
    value: heldSeconds(controller.moments()),
    unit: 's',
    note: `label ${label}`,
  };
};

export const held: Measure = {
  name: 'held',
  about: 'seconds that the application is held, for short and long copies',
  run: async ({ scope, quick, say }) => {
    const copies = quick ? [1, 3, 10] : [1, 10, 100];
    say(`one backup on each of three hosts at once, copies of ${copies.join(', ')} s`);
    const figures = await Promise.all(copies.map((seconds) => holdOnce(scope, seconds)));
    const first = figures[0]?.value ?? Number.NaN;
    const last = figures.at(-1)?.value ?? Number.NaN;
    const growth: Figure = {
      name: `held longer for ${copies.at(-1)} s than for ${copies[0]} s`,
      value: last - first,
      unit: 's',
      budget: atMost(MAY_DIFFER_SECONDS),
      note: 'must not grow with the copy; the budget is for noise',
    };
    return [...figures, growth];
  },
};
