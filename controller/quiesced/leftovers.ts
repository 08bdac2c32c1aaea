/** Ends what a dead main process has left: its children let go by themselves, and are ended where they do not. */
import { type Clock, sleep } from '#shared/clock';
import type { Leftovers } from './lease.ts';
import { killGroup, type ProcessId, stateOf } from './proc.ts';

/** For children that are just letting go. A stopped one never will. */
const GRACE_MS = 3000;
const GONE_MS = 5000;
const POLL_MS = 50;

/** Returns when all have gone, or cannot be ended. */
export const endLeftovers = async (clock: Clock, { children, groups }: Leftovers): Promise<void> => {
  const states = (of: readonly ProcessId[]) => Promise.all(of.map(stateOf));
  const until = async (ms: number, holds: () => Promise<boolean>): Promise<void> => {
    for (const end = clock.monotonic() + ms; clock.monotonic() < end && !(await holds()); ) await sleep(clock, POLL_MS);
  };
  await until(GRACE_MS, async () => (await states(children)).every((state) => state !== 'runs'));
  for (const one of [...children, ...groups]) if ((await stateOf(one)) !== 'gone') killGroup(one.pid);
  await until(GONE_MS, async () => (await states([...children, ...groups])).every((state) => state === 'gone'));
};
