/** Where drive-format writes down how far it is, for whoever asks later: replaced whole, and durable before the next step is taken. */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startTimeIn } from '../ports/process-start.ts';
import type { FormatOrder, FormatState } from './protocol.ts';

const durably = (path: string, flags: string, write: (fd: number) => void = () => {}): void => {
  const fd = openSync(path, flags, 0o600);
  try {
    write(fd);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

const RETRY_MS = 1_000;
/** A full disk of the host may be made room on meanwhile. */
const TRIES = 300;

export interface StateFile {
  /** Throws where it cannot be made durable. */
  write(at: Pick<FormatState, 'phase' | 'outcome'>): void;
  /** The same, as often as it takes. Rejects when it has failed for five minutes. */
  writeSurely(at: Pick<FormatState, 'phase' | 'outcome'>): Promise<void>;
  remove(): void;
}

export const openStateFile = ({ jobId, stateFile }: Pick<FormatOrder, 'jobId' | 'stateFile'>): StateFile => {
  const self = {
    jobId,
    pid: process.pid,
    startTime: startTimeIn(readFileSync('/proc/self/stat', 'utf8')),
    // random(4)
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
  };
  const partial = `${stateFile}.partial`;
  const write: StateFile['write'] = (at) => {
    const state: FormatState = { ...self, ...at };
    durably(partial, 'w', (fd) => void writeSync(fd, JSON.stringify(state)));
    renameSync(partial, stateFile);
    durably(dirname(stateFile), 'r');
  };
  return {
    write,
    writeSurely: async (at) => {
      for (let tries = 1; ; tries += 1) {
        try {
          return write(at);
        } catch (error) {
          if (tries >= TRIES) throw error;
          await pause(RETRY_MS);
        }
      }
    },
    remove: () => {
      for (const path of [partial, stateFile]) rmSync(path, { force: true });
    },
  };
};
