/** The moments of an attempt at which a fault strikes, each reached through the applications themselves or the agent. */
import { existsSync } from 'node:fs';
import { until } from '../quiesced-world.ts';
import type { App, Guest } from './guest.ts';

interface MomentOf {
  /** A backup is asked for only when the fault is there. */
  offersLater?: true;
  /** Whose child is busy then, where a fault is about one child; null: none lives. */
  child: App | null;
  reach: (guest: Guest) => Promise<void>;
}

const REACH_MS = 60_000;
const posted = async ({ agent }: Guest): Promise<void> => {
  const before = agent.jobs.length;
  agent.offer();
  await until('the backup was requested', () => agent.jobs.length > before, REACH_MS);
};
const reached = (gate: 'prepare' | 'pre' | 'post') => async (guest: Guest) => {
  guest.close(gate);
  guest.agent.offer();
  await until(`${gate} waits`, () => guest.hasReached(gate), REACH_MS);
};

export const MOMENTS = {
  'before prepare': { offersLater: true, child: null, reach: async () => undefined },
  'in prepare': { child: 'app', reach: reached('prepare') },
  // The first to be held is in the middle of a long transaction: its lock is waited for.
  'after lease': {
    child: 'db',
    reach: async ({ agent, writer, at }) => {
      await writer.begin();
      agent.offer();
      await until('the lease is on disk', () => existsSync(at('state/lease.json')), REACH_MS);
    },
  },
  // One is held, the next half, the last not yet.
  'in hold': { child: 'app', reach: reached('pre') },
  'after POST': { child: 'app', reach: posted },
  'at the point': {
    // Its containers are watched for a second after they came back, so its child still lives.
    child: 'box',
    reach: async (guest) => {
      await posted(guest);
      guest.holds.sample();
      guest.agent.point();
    },
  },
  'in release': {
    child: 'app',
    reach: async (guest) => {
      await posted(guest);
      guest.close('post');
      guest.holds.sample();
      guest.agent.point();
      await until('post waits', () => guest.hasReached('post'), REACH_MS);
    },
  },
} as const satisfies Record<string, MomentOf>;
export type Moment = keyof typeof MOMENTS;
export const MOMENT_NAMES = Object.keys(MOMENTS) as Moment[];
export const momentOf = (moment: Moment): MomentOf => MOMENTS[moment];
