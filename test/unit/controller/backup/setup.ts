/** A loop with a fake agent, fake commands and a clock by hand. */
import { createApps } from '#controller/backup/apps';
import type { Happening } from '#controller/backup/events';
import { createBackupLoop } from '#controller/backup/loop';
import type { AttemptResult } from '#controller/backup/result';
import type { CommandResult, RunCommand } from '#controller/ports/command';
import type { Marker, OpenHold } from '#controller/ports/marker';
import type { QuiesceApp } from '#shared/quiesce';
import { fakeAgent } from '../fake-agent.ts';
import { manualClock } from '../manual-clock.ts';

export const app = (name: string): QuiesceApp => ({
  name,
  adapter: 'command',
  pre: { argv: [`/pre/${name}`], timeout: 30_000 },
  post: { argv: [`/post/${name}`], timeout: 30_000 },
});

const OK: CommandResult = { ok: true, code: 0, timedOut: false, ms: 5, tail: '' };
export const FAILED: CommandResult = { ok: false, code: 1, timedOut: false, ms: 5, tail: 'no' };
export const TIMED_OUT: CommandResult = { ok: false, code: null, timedOut: true, ms: 30_000, tail: '' };

export const setup = ({ apps = [app('db')], marker: found = { kind: 'none' } as OpenHold } = {}) => {
  const clock = manualClock();
  const agent = fakeAgent();
  /** Everything that touched the world, in order. */
  const acts: string[] = [];
  const events: Happening[] = [];
  const results: AttemptResult[] = [];
  /** Results of commands by program, one a call; then they succeed. */
  const outcomes: Record<string, CommandResult[]> = {};
  /** How long a command takes. */
  const takes: Record<string, number> = {};
  /** What a command was given to end, the last time. */
  const timeouts: Record<string, number> = {};
  const stopping = new AbortController();
  let isQuiet = false;
  const faults = { marker: null as Error | null };

  const write = (what: string) => acts.push(isQuiet ? `${what} WHILE QUIET` : what);
  const marker: Marker = {
    read: async () => found,
    write: async (names) => {
      if (faults.marker) throw faults.marker;
      write(`mark ${names.join(' ')}`);
    },
    remove: async () => void write('unmark'),
  };
  const run: RunCommand = async ([program], { timeoutMs }) => {
    acts.push(program);
    timeouts[program] = timeoutMs;
    if (takes[program]) await new Promise<void>((resolve) => clock.after(takes[program] as number, resolve));
    return outcomes[program]?.shift() ?? OK;
  };
  const quiet = {
    begin: () => {
      isQuiet = true;
    },
    end: () => {
      isQuiet = false;
    },
  };
  const emit = (event: Happening) => void events.push(event);
  const held = createApps(apps, { run, marker, clock, emit, isQuiet: () => isQuiet, stop: stopping.signal });
  const record = async (result: AttemptResult) => {
    write('record');
    results.push(result);
  };
  const loop = createBackupLoop(
    { agent, apps: held, clock, quiet, emit, record, random: () => 0.5 },
    { pollMs: 60_000, holdMaxMs: 60_000 },
  );
  return {
    clock,
    agent,
    acts,
    events,
    results,
    outcomes,
    takes,
    timeouts,
    faults,
    /** Starts the loop; the first `advance` lets it ask. */
    begin: () => {
      const done = loop.run(stopping.signal);
      return { done };
    },
    stop: () => stopping.abort(),
    kinds: () => events.map(({ kind }) => kind),
    releases: () => events.flatMap((event) => (event.kind === 'release-started' ? [event] : [])),
  };
};
