/** Whether anything may be done to drives at all: only while the agent sees everything that keeps them safe. */
import type { Clock } from '#shared/clock';
import type { Problems } from '../../health/problems.ts';
import type { SelfTest } from './self-test.ts';

export interface WritesOffPorts {
  clock: Clock;
  selfTest: SelfTest;
  problems: Pick<Problems, 'raise' | 'clear'>;
  /** Why the agent does not trust its own records; empty where it does. */
  distrust: () => string;
}

export interface WritesOff {
  /** Why nothing is done to drives, as a sentence; empty where it may be. */
  why(): string;
  /** Looks again where it is time to: often while something is missing, now and then otherwise. Never rejects. */
  tick(): Promise<void>;
}

const NOT_YET = 'The agent has only just started, and has not found out yet whether it sees everything that keeps drives safe.';
/** A unit is not changed under a running agent; mounts and capabilities may be. */
const AGAIN_MS = 600_000;

const UNSEEN = 'Nothing is done to the drives of this host: its agent does not see everything that keeps them safe.';
const RESTART =
  'The operator compares the agent\'s unit with the one that felhom ships ("systemctl cat felhom-agent") and restarts it.';
const DISTRUSTED = 'Nothing is done to the drives of this host: its agent does not trust its own records of them.';
const ACCEPT = 'The operator looks why with "felhom-agent ops list", then runs "felhom-agent state accept".';

export const createWritesOff = ({ clock, selfTest, problems, distrust }: WritesOffPorts): WritesOff => {
  let why = NOT_YET;
  let testedAt = Number.NEGATIVE_INFINITY;
  /** In a row: while a host starts, something may be missing for a moment. */
  let failures = 0;

  const raise = (evidence: string, sentence: string, nextStep: string): void =>
    problems.raise({ code: 'drive-writes-off', vmid: null, sentence, evidence, nextStep });

  const judge = (): void => {
    if (distrust() !== '') raise(distrust(), DISTRUSTED, ACCEPT);
    else if (failures === 0) problems.clear('drive-writes-off', null);
    else if (failures > 1) raise(why, UNSEEN, RESTART);
  };

  return {
    why: () => (why !== '' || distrust() === '' ? why : `${DISTRUSTED} ${ACCEPT}`),
    tick: async () => {
      if (why !== '' || clock.monotonic() - testedAt >= AGAIN_MS) {
        why = await selfTest.run();
        testedAt = clock.monotonic();
        failures = why === '' ? 0 : failures + 1;
      }
      judge();
    },
  };
};
