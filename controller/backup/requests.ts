/** The two questions that lead to a backup: whether one is offered, and to start it. */
import { randomUUID } from 'node:crypto';
import { type Clock, sleep } from '#shared/clock';
import { type BackupStarted, getBackupDue, startBackup } from '#shared/wire/backups';
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
  const start = async (deadline: number, signal: AbortSignal): Promise<Started> => {
    const body = { request_id: randomUUID() };
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

  return { ask, start };
};
