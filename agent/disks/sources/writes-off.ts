/** Whether anything may be done to drives at all: only while the agent sees everything that keeps them safe. */
import type { Clock } from '#shared/clock';
import type { Problems } from '../../health/problems.ts';
import type { SelfTest } from './self-test.ts';

export interface WritesOffPorts {
  clock: Clock;
  selfTest: SelfTest;
  problems: Pick<Problems, 'raise' | 'clear'>;
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

export const createWritesOff = ({ clock, selfTest, problems }: WritesOffPorts): WritesOff => {
  let why = NOT_YET;
  let testedAt = Number.NEGATIVE_INFINITY;
  /** In a row: while a host starts, something may be missing for a moment. */
  let failures = 0;

  const judge = (): void => {
    failures = why === '' ? 0 : failures + 1;
    if (failures === 0) problems.clear('drive-writes-off', null);
    if (failures < 2) return;
    problems.raise({
      code: 'drive-writes-off',
      vmid: null,
      sentence: 'Nothing is done to the drives of this host: its agent does not see everything that keeps them safe.',
      evidence: why,
      nextStep:
        'The operator compares the agent\'s unit with the one that felhom ships ("systemctl cat felhom-agent") and restarts it.',
    });
  };

  return {
    why: () => why,
    tick: async () => {
      if (why === '' && clock.monotonic() - testedAt < AGAIN_MS) return;
      why = await selfTest.run();
      testedAt = clock.monotonic();
      judge();
    },
  };
};
