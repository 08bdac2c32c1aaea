/** Everything that one screen says, asked at once: each part is known or says why not. */
import type { AnyEndpoint, QueryOf, ReplyOf } from '#shared/endpoint';
import type { QuiescedStatus } from '#shared/quiesce/protocol';
import { type Archives, type Coverage, getBackups, getCoverage } from '#shared/wire/archives';
import { type BackupStatus, getBackupStatus } from '#shared/wire/backups';
import { getIdentity, type Identity } from '#shared/wire/identity';
import { getHostMetrics, type HostMetrics } from '#shared/wire/metrics';
import { getProblems, type Problems } from '#shared/wire/problems';
import { type GuestStorage, getStorage } from '#shared/wire/storage';
import type { AttemptResult } from '../backup/result.ts';
import type { AgentClient, Where } from '../ports/agent-client.ts';
import { AgentError, sentenceOf } from '../ports/agent-error.ts';
import type { Answered } from '../ports/quiesced.ts';

export type Part<T> = { known: true; value: T } | { known: false; code: string; error: string };

/** What the controller keeps in its state directory. */
export interface OwnState {
  /** The process of the loop; null when none runs. */
  loop: number | null;
  last: AttemptResult | null;
}

export interface Overview {
  taken_at: string;
  agent: Part<Where>;
  identity: Part<Identity>;
  host: Part<HostMetrics>;
  storage: Part<GuestStorage>;
  backup: Part<BackupStatus>;
  /** The newest ones: as many as fit in one answer. */
  archives: Part<Archives>;
  coverage: Part<Coverage>;
  problems: Part<Problems>;
  controller: Part<OwnState>;
  /** felhom-quiesced's own word: the applications, what is held, who is not back. */
  quiesced: Part<QuiescedStatus>;
}

export interface OverviewPorts {
  agent: Pick<AgentClient, 'call' | 'where'>;
  own: () => Promise<OwnState>;
  quiesced: () => Promise<Answered<QuiescedStatus>>;
}

/** What an agent says of an endpoint that it does not have. */
const OLD_AGENT = 'The agent on the host is of an older version, which does not say that.';

const part = async <T>(asked: Promise<T>): Promise<Part<T>> => {
  try {
    return { known: true, value: await asked };
  } catch (error) {
    const code = error instanceof AgentError ? error.code : 'internal';
    return { known: false, code, error: code === 'not-found' ? OLD_AGENT : sentenceOf(error) };
  }
};

const answered = async <T>(asked: Promise<Answered<T>>): Promise<Part<T>> => {
  const answer = await asked;
  return answer.ok ? { known: true, value: answer.data } : { known: false, code: answer.code, error: answer.error };
};

/** `/backup/due` is not asked: its answer may be an offer that reserves the node's one backup slot. */
export const takeOverview = async ({ agent, own, quiesced: askQuiesced }: OverviewPorts, takenAt: string): Promise<Overview> => {
  const ask = <E extends AnyEndpoint>(endpoint: E, query: QueryOf<E> | undefined = undefined): Promise<Part<ReplyOf<E>>> =>
    part(agent.call(endpoint, query === undefined ? {} : { query }) as Promise<ReplyOf<E>>);
  const [where, identity, host, storage, backup, archives, coverage, problems, controller, quiesced] = await Promise.all([
    part(agent.where()),
    ask(getIdentity),
    ask(getHostMetrics),
    ask(getStorage),
    ask(getBackupStatus),
    ask(getBackups, { limit: '200' }),
    ask(getCoverage),
    ask(getProblems),
    part(own()),
    answered(askQuiesced()),
  ]);
  return { taken_at: takenAt, agent: where, identity, host, storage, backup, archives, coverage, problems, controller, quiesced };
};
