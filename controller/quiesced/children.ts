/** All children of this process, so that the marker names them and the end of the program ends them. */
import type { Clock } from '#shared/clock';
import type { QuiesceApp } from '#shared/quiesce/config';
import type { Leftovers } from './lease.ts';
import { type ChildLink, type LinkPorts, startChild } from './link.ts';
import type { Say } from './log.ts';
import { identify, type ProcessId } from './proc.ts';

export interface ChildrenPorts {
  clock: Clock;
  program: LinkPorts['program'];
  say: Say;
  /** Notes whom a next start has to end, should this process die. */
  mark: (leftovers: Leftovers) => Promise<void>;
}

export interface Children {
  /** Starts one and has it load the adapter; no child is left where that fails. */
  open(app: QuiesceApp): Promise<ChildLink>;
  /** Ends every one at once: nothing is let go but what falls with a connection. */
  killAll(): Promise<void>;
}

/** Reading the driver from a slow disk, and the account from a slow directory service. */
const OPEN_MS = 20_000;

export const createChildren = ({ clock, program, say, mark }: ChildrenPorts): Children => {
  const links = new Set<ChildLink>();
  const known = new Map<number, ProcessId>();

  const identities = async (pids: readonly number[]): Promise<ProcessId[]> => {
    const found = await Promise.all(pids.map(async (pid) => known.get(pid) ?? (await identify(pid))));
    return found.filter((one) => one !== null);
  };
  let pending = false;
  const note = async (): Promise<void> => {
    pending = false;
    const children = await identities([...links].map(({ pid }) => pid));
    const groups = await identities([...links].flatMap((link) => link.groups()));
    known.clear();
    for (const one of [...children, ...groups]) known.set(one.pid, one);
    await mark({ children, groups });
  };
  /** Several changes at once are noted once. */
  const changed = () => {
    if (pending) return;
    pending = true;
    setImmediate(() => void note().catch(() => undefined));
  };

  return {
    open: async (app) => {
      const link = startChild(app, { clock, program, say, changed });
      links.add(link);
      void link.gone.then(() => links.delete(link));
      try {
        await link.call('open', app, { timeoutMs: OPEN_MS });
        return link;
      } catch (error) {
        await link.kill();
        throw error;
      }
    },
    killAll: async () => {
      await Promise.all([...links].map((link) => link.kill()));
    },
  };
};
