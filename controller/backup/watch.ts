/** Reads a running backup by long polls: until its applications may go, and on to its end. */
import { type Clock, sleep } from '#shared/clock';
import { afterAwake } from '#shared/quiesce/awake';
import { type BackupStatus, getBackupStatus } from '#shared/wire/backups';
import type { AgentClient } from '../ports/agent-client.ts';
import { type ReleaseReason, whyRelease } from './hold.ts';

export interface WatchPorts {
  agent: Pick<AgentClient, 'call'>;
  clock: Clock;
}

export interface Release {
  reason: ReleaseReason;
  status: BackupStatus | null;
}

type Reading = { kind: 'status'; status: BackupStatus } | { kind: 'failed' } | { kind: 'time' };

const WAIT_SECONDS = '8';
/** An agent that answers a long poll at once without news is not asked at full speed. */
const NO_NEWS_MS = 250;

/** 250 ms, 500 ms, 1 s … up to `mostMs`. */
const backOff = (failures: number, mostMs: number): number => Math.min(250 * 2 ** Math.min(failures, 20), mostMs);

export const createWatch = ({ agent, clock }: WatchPorts) => {
  /** A reader that remembers the revision it has seen. Its readings never reject. */
  const reader = (signal: AbortSignal) => {
    let after = '';
    return async (): Promise<Reading> => {
      const asked = clock.monotonic();
      try {
        const query = after === '' ? {} : { wait: WAIT_SECONDS, after };
        const status = await agent.call(getBackupStatus, { query, signal });
        if (status.revision === after && clock.monotonic() - asked < NO_NEWS_MS) await sleep(clock, NO_NEWS_MS, signal);
        after = status.revision;
        return { kind: 'status', status };
      } catch {
        return { kind: 'failed' };
      }
    };
  };

  /** Returns the moment that the applications may go: the caller acts on it at once. */
  const untilRelease = async (jobId: string, holdUntil: number, signal: AbortSignal): Promise<Release> => {
    const over = new AbortController();
    const read = reader(AbortSignal.any([signal, over.signal]));
    const heldTooLong = new AbortController();
    const cancelEnd = afterAwake(clock, Math.max(0, holdUntil - clock.monotonic()), () => heldTooLong.abort());
    const tooLong = new Promise<Reading>((resolve) => {
      heldTooLong.signal.addEventListener('abort', () => resolve({ kind: 'time' }));
    });
    let failures = 0;
    let pending: Promise<Reading> | null = null;
    let status: BackupStatus | null = null;
    try {
      while (!signal.aborted) {
        pending ??= read();
        // A reading that is there as well comes first.
        const reading = await Promise.race([pending, tooLong]);
        if (reading.kind === 'time') return { reason: failures > 0 ? 'agent-gone' : 'deadline', status };
        pending = null;
        if (reading.kind === 'status') {
          failures = 0;
          status = reading.status;
          const reason = whyRelease(status, jobId);
          if (reason !== null) return { reason, status };
        }
        if (reading.kind === 'failed') {
          failures += 1;
          await sleep(clock, backOff(failures, 2000), AbortSignal.any([signal, heldTooLong.signal]));
        }
      }
      return { reason: 'stopping', status };
    } finally {
      over.abort();
      cancelEnd();
    }
  };

  /** The job's last status; null when it is not known any more or the signal comes first. */
  const untilEnd = async (jobId: string, signal: AbortSignal): Promise<BackupStatus | null> => {
    const read = reader(signal);
    for (let failures = 0; !signal.aborted; ) {
      const reading = await read();
      if (reading.kind === 'status') {
        failures = 0;
        if (reading.status.job_id !== jobId || reading.status.phase === 'idle') return null;
        if (reading.status.phase !== 'running') return reading.status;
      } else await sleep(clock, backOff(failures++, 60_000), signal);
    }
    return null;
  };

  return { untilRelease, untilEnd };
};
