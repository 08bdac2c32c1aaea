/** What the agent is asked and told around a backup: whether one is offered, to start it, and how the applications were in it. */
import { randomUUID } from 'node:crypto';
import { type Clock, sleep } from '#shared/clock';
import { MOST_APPS } from '#shared/quiesce/config';
import { type BackupStarted, getBackupDue, type HeldReport, reportHeld, startBackup } from '#shared/wire/backups';
import type { AgentClient } from '../ports/agent-client.ts';
import { AgentError, isUnknownOutcome, sentenceOf } from '../ports/agent-error.ts';
import type { Happening } from './events.ts';
import type { ReleaseReason } from './hold.ts';
import { type Offer, offerOf } from './offer.ts';

export interface RequestPorts {
  agent: Pick<AgentClient, 'call'>;
  clock: Clock;
  emit: (event: Happening) => void;
}

/** What became of `POST /backup`. */
export type Started = { kind: 'job'; job: BackupStarted } | { kind: 'no-job'; reason: ReleaseReason; error: string };

const RETRY_START_MS = 1000;
const RETRY_REPORT_MS = 1000;
const REPORT_TRY_MS = 10_000;

const codeOf = (error: unknown): string => (error instanceof AgentError ? error.code : 'internal');

export const createRequests = ({ agent, clock, emit }: RequestPorts) => {
  let lost = false;

  const noteAgent = (error: unknown): void => {
    if (error === null && lost) emit({ kind: 'agent-back' });
    if (error !== null && !lost) emit({ kind: 'agent-lost', code: codeOf(error), error: sentenceOf(error) });
    lost = error !== null;
  };

  /** What the agent offers now; null also where it cannot be asked. */
  const ask = async (signal: AbortSignal): Promise<Offer | null> => {
    const askedAt = clock.monotonic();
    let hostTime = Number.NaN;
    try {
      const onHostTime = (ms: number) => {
        hostTime = ms;
      };
      const offer = offerOf(await agent.call(getBackupDue, { signal, onHostTime }), { askedAt, hostTime });
      noteAgent(null);
      if (offer !== null) emit({ kind: 'due', reason: offer.reason, hold: offer.hold });
      return offer;
    } catch (error) {
      if (!signal.aborted) noteAgent(error);
      return null;
    }
  };

  /** Asks for one backup. Where it cannot be known whether the agent heard, the same request is sent again, never a second one. */
  const start = async (intends: string[], deadline: number, signal: AbortSignal): Promise<Started> => {
    const body = { request_id: randomUUID(), intends: intends.slice(0, MOST_APPS) };
    emit({ kind: 'requesting', request_id: body.request_id });
    let error: unknown = null;
    do {
      try {
        const job = await agent.call(startBackup, { body, signal });
        return { kind: 'job', job };
      } catch (thrown) {
        error = thrown;
        if (!isUnknownOutcome(error)) {
          emit({ kind: 'backup-refused', code: codeOf(error), error: sentenceOf(error) });
          return { kind: 'no-job', reason: 'refused', error: sentenceOf(error) };
        }
        await sleep(clock, RETRY_START_MS, signal);
      }
    } while (!signal.aborted && clock.monotonic() < deadline);
    return { kind: 'no-job', reason: signal.aborted ? 'stopping' : 'agent-gone', error: sentenceOf(error) };
  };

  /** Says it until the agent has answered, whatever it answers; once also where this program is stopping. */
  const report = async (job_id: string, body: HeldReport, until: number, signal: AbortSignal): Promise<void> => {
    let error: unknown = null;
    do {
      try {
        await agent.call(reportHeld, { params: { job_id }, body, timeoutMs: REPORT_TRY_MS });
        return emit({ kind: 'held-reported', apps: body.apps.length });
      } catch (thrown) {
        error = thrown;
        if (!isUnknownOutcome(error)) break;
        await sleep(clock, RETRY_REPORT_MS, signal);
      }
    } while (!signal.aborted && clock.monotonic() < until);
    emit({ kind: 'report-failed', code: codeOf(error), error: sentenceOf(error) });
  };

  return { ask, start, report };
};
