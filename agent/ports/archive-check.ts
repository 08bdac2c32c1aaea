/** Reads an archive to its end, in a process of its own that yields to everything else on the host: agent/archive-check. */
import type { Clock } from '#shared/clock';
import type { Finding } from '../archive-check/finding.ts';
import { AT_IDLE, commandOf, startProgram } from './own-program.ts';

export type CheckResult = Finding;

export interface ArchiveCheck {
  /** Never rejects. An abort ends the check with nothing known: `unreadable`. */
  check(path: string, format: string, signal: AbortSignal): Promise<CheckResult>;
}

export interface ArchiveCheckOptions {
  clock: Clock;
  /** Without a byte read for so long the check is given up. */
  stallMs?: number;
}

const STALL_MS = 10 * 60_000;

const unknown = (detail: string): CheckResult => ({
  verdict: 'unreadable',
  error: 'The check could not be carried out.',
  detail,
  members: 0,
  bytes: 0,
});

const isFinding = (value: unknown): value is CheckResult => typeof value === 'object' && value !== null && 'verdict' in value;

export const createArchiveCheck = ({ clock, stallMs = STALL_MS }: ArchiveCheckOptions): ArchiveCheck => ({
  check: async (path, format, signal) => {
    let found: CheckResult | null = null;
    const onLine = (value: unknown): void => {
      if (isFinding(value)) found = value;
    };
    const command = [...AT_IDLE, ...commandOf('archive-check'), format, path];
    const { how, words } = await startProgram(command, { clock, stallMs, signal, onLine }).ended;
    return how === 'ended' && found !== null ? found : unknown(words);
  },
});
