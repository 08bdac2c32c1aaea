/** What goes wrong: one entry a fault. */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { signal } from '../quiesced-world.ts';
import type { App, Guest, GuestOptions } from './guest.ts';
import { lacksMemoryKill, memoryKill } from './memory.ts';
import { type Moment, momentOf } from './moments.ts';

export interface FaultOf {
  name: string;
  guest?: GuestOptions;
  /** It is about one child: that of the application that is busy at the moment. */
  ofChild?: true;
  /** Why it cannot be done here, as the skipped test says it; null: it can. */
  lacks?: () => string | null;
  /**
   * Who is let go by it. `all`, `one`: at once. `deadline`: by the
   * lease's end at the latest. `goes-on`: nobody, the attempt goes on as if nothing had happened.
   */
  lets: 'all' | 'one' | 'deadline' | 'goes-on';
  /** The commands that are at work go on; with others they hang, where the attempt does not go on either. */
  commandsGoOn?: true;
  /** It lasts for so long after the end of the lease, or after its beginning where there is none. */
  lastsMs?: number;
  /** Where it strikes before the lease, none can be made durable, and nothing is held. */
  preventsLease?: true;
  /** @returns what ends it */
  strike: (guest: Guest, app: App | null) => Promise<() => Promise<void> | void>;
}

const YEARS_10_MS = 10 * 365.25 * 24 * 3_600_000;
/** More than a timer may be late before a program takes it for a freeze (LATE_MS). */
const PAST_DEADLINE_MS = 2500;
const isRoot = process.getuid?.() === 0;
const nothing = (): void => undefined;

const childOf = ({ quiesced }: Guest, app: App | null): number => quiesced.childOf(app as App);
const kill =
  (pids: (guest: Guest, app: App | null) => number[]): FaultOf['strike'] =>
  async (guest, app) => {
    await guest.killAtOnce(pids(guest, app));
    return nothing;
  };
const stop =
  (pid: (guest: Guest, app: App | null) => number): FaultOf['strike'] =>
  async (guest, app) => {
    const stopped = pid(guest, app);
    signal(stopped, 'SIGSTOP');
    return () => signal(stopped, 'SIGCONT');
  };
const memory =
  (pid: (guest: Guest, app: App | null) => number): FaultOf['strike'] =>
  async (guest, app) => {
    await memoryKill(pid(guest, app));
    return nothing;
  };
const clock =
  (ms: number): FaultOf['strike'] =>
  async (guest) => {
    guest.shiftClock(ms);
    return () => guest.shiftClock(0);
  };
const everything = (guest: Guest): number[] => [guest.controllerPid(), ...guest.quiescedPids(), ...guest.commandPids()];

/** Pages first, then bytes: nothing more fits. */
const fill = (directory: string): string => {
  const filler = `${directory}/filler`;
  const file = openSync(filler, 'w');
  try {
    for (const size of [4096, 1]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size));
      } catch {
        // ENOSPC.
      }
    }
  } finally {
    closeSync(file);
  }
  return filler;
};

export const FAULTS: FaultOf[] = [
  { name: 'kill -9, controller', lets: 'all', strike: kill((guest) => [guest.controllerPid()]) },
  {
    // Not started again until all are back: its children have nobody to help them.
    name: 'kill -9, quiesced',
    lets: 'all',
    strike: async ({ supervised, killAtOnce, quiesced }) => {
      supervised.quiesced = false;
      await killAtOnce([quiesced.main()]);
      return () => {
        supervised.quiesced = true;
      };
    },
  },
  { name: 'kill -9, a child', ofChild: true, lets: 'one', strike: kill((guest, app) => [childOf(guest, app)]) },
  {
    name: 'kill -9, both',
    lets: 'all',
    strike: kill((guest) => [guest.controllerPid(), guest.quiesced.main()]),
  },
  { name: 'kill -9, quiesced and children', lets: 'all', strike: kill((guest) => guest.quiescedPids()) },
  {
    name: 'SIGSTOP, controller',
    lets: 'deadline',
    lastsMs: PAST_DEADLINE_MS,
    strike: stop((guest) => guest.controllerPid()),
  },
  { name: 'SIGSTOP, quiesced', lets: 'deadline', lastsMs: PAST_DEADLINE_MS, strike: stop(({ quiesced }) => quiesced.main()) },
  {
    // The children let go alone. Then both wake up, and what has been said meanwhile is read.
    name: 'SIGSTOP, both',
    lets: 'deadline',
    lastsMs: PAST_DEADLINE_MS,
    strike: async ({ controllerPid, quiesced }) => {
      const pids = [controllerPid(), quiesced.main()];
      for (const pid of pids) signal(pid, 'SIGSTOP');
      return () => {
        for (const pid of pids) signal(pid, 'SIGCONT');
      };
    },
  },
  { name: 'SIGSTOP, a child', ofChild: true, lets: 'deadline', lastsMs: PAST_DEADLINE_MS, strike: stop(childOf) },
  { name: 'memory kill, quiesced', lets: 'all', lacks: lacksMemoryKill, strike: memory(({ quiesced }) => quiesced.main()) },
  { name: 'memory kill, a child', ofChild: true, lets: 'one', lacks: lacksMemoryKill, strike: memory(childOf) },
  {
    name: 'disk full',
    guest: { tinyDisk: true },
    lacks: () => (isRoot ? null : 'skipped without root'),
    lets: 'goes-on',
    preventsLease: true,
    strike: async ({ at }) => {
      const fillers = [at('state'), at('controller')].map(fill);
      return () => {
        for (const filler of fillers) rmSync(filler);
      };
    },
  },
  {
    name: 'network cut',
    lets: 'deadline',
    commandsGoOn: true,
    lastsMs: PAST_DEADLINE_MS,
    strike: async ({ agent }) => {
      agent.cut();
      return agent.mend;
    },
  },
  {
    name: 'agent restart',
    lets: 'goes-on',
    strike: async ({ agent }) => {
      await agent.down();
      await agent.up();
      return nothing;
    },
  },
  { name: 'clock + 10 years', guest: { ownClock: true }, lets: 'goes-on', strike: clock(YEARS_10_MS) },
  { name: 'clock - 10 years', guest: { ownClock: true }, lets: 'goes-on', strike: clock(-YEARS_10_MS) },
  {
    name: 'reboot',
    lets: 'all',
    strike: async (guest) => {
      Object.assign(guest.supervised, { controller: false, quiesced: false });
      await guest.killAtOnce(everything(guest));
      guest.wipeRuntime();
      guest.engine.reboot();
      // Both at once, as units of one boot; whichever comes first makes way or goes on.
      guest.quiesced.start('recover');
      Object.assign(guest.supervised, { controller: true, quiesced: true });
      return nothing;
    },
  },
  {
    name: 'start from an archive',
    lets: 'all',
    strike: async (guest) => {
      const putBack = guest.copy();
      Object.assign(guest.supervised, { controller: false, quiesced: false });
      await guest.killAtOnce(everything(guest));
      await guest.agent.down();
      guest.wipeRuntime();
      putBack();
      // Nobody connects to felhom-quiesced there, for no agent offers anything: only the boot's own unit is at work.
      const boot = guest.quiesced.start('recover');
      guest.supervised.controller = true;
      return async () => {
        await boot.ended;
        guest.supervised.quiesced = true;
        await guest.agent.up();
      };
    },
  },
];

/** Why a fault makes no sense at a moment; null: it does. */
export const senseless = ({ ofChild }: FaultOf, moment: Moment): string | null =>
  ofChild === true && momentOf(moment).child === null ? 'no child lives before an attempt' : null;
