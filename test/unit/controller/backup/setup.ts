/** A loop with a fake agent, a fake felhom-quiesced and a clock by hand. */

import { createApplications } from '#controller/backup/applications';
import type { Happening } from '#controller/backup/events';
import { createBackupLoop } from '#controller/backup/loop';
import type { AttemptResult } from '#controller/backup/result';
import type { Mount } from '#shared/mountinfo';
import type { PreparedApp } from '#shared/quiesce/protocol';
import { fakeAgent } from '../fake-agent.ts';
import { fakeQuiesced } from '../fake-quiesced.ts';
import { manualClock } from '../manual-clock.ts';

/** The guest's root file system is one volume, with the number 8:1. */
export const MOUNTS: Mount[] = [
  { id: '1', parent: '0', device: '8:1', root: '/', point: '/', fstype: 'ext4', source: '/dev/sda1', options: [] },
];
export const place = (path: string) => ({ path, mount_point: '/', device: '8:1', fstype: 'ext4', root: '/' });

export const app = (name: string, change: Partial<PreparedApp> = {}): PreparedApp => ({
  app: name,
  adapter: 'command',
  ok: true,
  error: '',
  kind: 'command-app',
  running: true,
  hold: 'auto',
  data: [place(`/srv/${name}`)],
  ms: 5,
  ...change,
});

export const setup = ({ apps = [app('db')], remembered = [] as { name: string; adapter: string }[] } = {}) => {
  const clock = manualClock();
  const agent = fakeAgent();
  /** Everything that touched the world, in order. */
  const acts: string[] = [];
  const events: Happening[] = [];
  const results: AttemptResult[] = [];
  const stopping = new AbortController();
  let isQuiet = false;
  const world = { mounts: MOUNTS };
  const quiesced = fakeQuiesced({ clock, apps, act: (what) => acts.push(what) });
  const emit = (event: Happening) => void events.push(event);
  const quiet = {
    begin: () => {
      isQuiet = true;
    },
    end: () => {
      isQuiet = false;
    },
  };
  const { getReady } = createApplications({
    agent,
    connect: quiesced.connect,
    mounts: async () => world.mounts,
    disksBehind: async () => null,
    clock,
    emit,
    remembered: async () => remembered,
  });
  const record = async (result: AttemptResult) => {
    acts.push(isQuiet ? 'record WHILE QUIET' : 'record');
    results.push(result);
  };
  const loop = createBackupLoop({ agent, getReady, clock, quiet, emit, record, random: () => 0.5 }, { pollMs: 60_000 });
  return {
    clock,
    agent,
    quiesced,
    world,
    acts,
    events,
    results,
    isQuiet: () => isQuiet,
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
