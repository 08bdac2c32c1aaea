/** Composition root of the loop: builds the ports, starts it, and sees that whatever was held is let go before it ends. */
import { mkdir } from 'node:fs/promises';
import type { Clock } from '#shared/clock';
import { createApplications } from './backup/applications.ts';
import { type ControllerEvent, type Happening, type Line, lineOf } from './backup/events.ts';
import { createBackupLoop } from './backup/loop.ts';
import type { ControllerConfig } from './config.ts';
import { createAgentClient } from './ports/agent-client.ts';
import { disksBehind } from './ports/block-devices.ts';
import { bootstrapFile } from './ports/bootstrap.ts';
import { systemClock } from './ports/clock.ts';
import { keepInstance } from './ports/instance.ts';
import { lockState } from './ports/lock.ts';
import { createLog } from './ports/log.ts';
import { readMounts } from './ports/mounts.ts';
import { quiescedAt } from './ports/quiesced.ts';
import { readResult, writeResult } from './ports/record.ts';

export interface ControllerIo {
  /** Called the moment something happens, also while the log waits. */
  onEvent?: (event: ControllerEvent) => void;
  /** Gets whole lines, with their newline. */
  write?: (text: string) => void;
  /** Lines start with their priority, as the journal reads it. */
  prefixed?: boolean;
  clock?: Clock;
  random?: () => number;
}

export interface RunningController {
  /** Settles when the loop has ended. */
  done: Promise<void>;
  /** Lets go whatever is held, then ends. */
  stop(): Promise<void>;
}

/** Why there is no start; a sentence for people. */
class StartRefused extends Error {
  override readonly name = 'StartRefused';
}

const lock = async (stateDir: string) => {
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    const result = await lockState(stateDir);
    if (result.kind !== 'taken') return result;
    throw new StartRefused(`Another felhom-controller (process ${result.pid}) works on ${stateDir} already.`);
  } catch (error) {
    if (error instanceof StartRefused) throw error;
    throw new StartRefused(`${stateDir} cannot be used: ${(error as Error).message}`, { cause: error });
  }
};

/** @throws StartRefused */
export const startController = async (config: ControllerConfig, io: ControllerIo = {}): Promise<RunningController> => {
  const { clock = systemClock, random = Math.random, write = (text) => void process.stderr.write(text), prefixed = false } = io;
  const locked = await lock(config.stateDir);
  const log = createLog(write, prefixed);
  const emit = (event: Happening): void => {
    io.onEvent?.({ ...event, at: clock.now(), monotonic: clock.monotonic() });
    const line: Line | null = lineOf(event);
    if (line !== null) log.say(line);
  };
  const stopping = new AbortController();
  const instance = await keepInstance(config.runtimeDir);
  const agent = createAgentClient({ source: bootstrapFile(config.bootstrap), clock, instance });
  const { getReady } = createApplications({
    agent,
    connect: quiescedAt(config.quiesced, clock),
    mounts: () => readMounts(config.mountinfo),
    disksBehind,
    clock,
    emit,
    remembered: async () => (await readResult(config.stateDir))?.apps ?? [],
  });
  const record = (result: Parameters<typeof writeResult>[1]) => writeResult(config.stateDir, result);
  const loop = createBackupLoop({ agent, getReady, clock, quiet: log, emit, record, random }, config);

  const work = async (): Promise<void> => {
    emit({ kind: 'started' });
    if (locked.kind === 'unwritable') emit({ kind: 'lock-failed', error: locked.error.message });
    try {
      await loop.run(stopping.signal);
    } finally {
      log.end();
      await agent.close();
      if (locked.kind === 'held') await locked.release();
    }
    emit({ kind: 'stopped' });
  };
  const done = work();
  return {
    done,
    stop: () => {
      if (!stopping.signal.aborted) emit({ kind: 'stopping' });
      stopping.abort();
      return done;
    },
  };
};
