/** Starting, stopping, pausing guests: each a task, with the few refusals that come at once. */

import { died } from '../api/errors.ts';
import { agentEnabled, guestName } from '../guest-status.ts';
import { type Area, type Call, integer, owner, param, type Sim } from '../sim.ts';
import type { TaskHandle } from '../tasks.ts';
import type { Guest } from '../world.ts';
import { missingConfig } from './guests.ts';

type Type = Guest['type'];

const label = (guest: Guest): string => `${guest.type === 'lxc' ? 'CT' : 'VM'} ${guest.vmid}`;

const bridges = (guest: Guest): string[] =>
  Object.entries(guest.config)
    .filter(([key]) => /^net\d+$/.test(key))
    .flatMap(([, value]) => /bridge=([^,]+)/.exec(String(value))?.[1] ?? []);

let lastPid = 2000;

export const demandUnlocked = (guest: Guest): void => {
  if (guest.config.lock !== undefined) throw died(`${guest.type === 'lxc' ? 'CT' : 'VM'} is locked (${guest.config.lock})`);
};

const start = (sim: Sim, guest: Guest): void => {
  demandUnlocked(guest);
  if (guest.status === 'running') throw died(`${label(guest)} already running`);
  if (Number(guest.config.template ?? 0) === 1)
    throw died(`you can't start a ${guest.type === 'lxc' ? 'CT' : 'vm'} if it's a template`);
  const missing = bridges(guest).find((bridge) => sim.world.bridges?.includes(bridge) === false);
  if (missing !== undefined) throw died(`bridge '${missing}' does not exist`);
  lastPid += 7;
  guest.status = 'running';
  guest.paused = false;
  guest.pid = lastPid;
  guest.startedAt = Math.floor(sim.clock() / 1000);
};

export const stopGuest = (guest: Guest): void => {
  guest.status = 'stopped';
  guest.paused = false;
  delete guest.pid;
  delete guest.startedAt;
};

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A simulated guest that ignores its shutdown is waited for only this long a second of the time-out. */
const MS_A_SECOND = 50;

const shutdown = async (guest: Guest, timeoutS: number, task: TaskHandle): Promise<void> => {
  demandUnlocked(guest);
  if (guest.status !== 'running') return;
  if (guest.type === 'qemu' && agentEnabled(guest) && !guest.guestAgentRuns)
    task.log(`QEMU Guest Agent is not running - VM ${guest.vmid} qga command 'guest-ping' failed - got timeout`);
  if (guest.ignoresShutdown) {
    await pause(timeoutS * MS_A_SECOND);
    throw died(guest.type === 'qemu' ? 'VM quit/powerdown failed - got timeout' : 'container did not stop');
  }
  stopGuest(guest);
};

const demandRunning = (guest: Guest): void => {
  if (guest.status !== 'running') throw died(`${label(guest)} not running`);
};

interface Power {
  /** The worker's type. */
  qemu?: string;
  lxc?: string;
  /** Refused at once, for containers; VMs learn it from the task. */
  refuse?: (guest: Guest) => void;
  work: (call: Call, guest: Guest, task: TaskHandle) => Promise<void> | void;
}

const POWER: Record<string, Power> = {
  start: {
    qemu: 'qmstart',
    lxc: 'vzstart',
    refuse: (guest) => {
      if (guest.status === 'running') throw died(`${label(guest)} already running`);
    },
    work: ({ sim }, guest) => start(sim, guest),
  },
  stop: {
    qemu: 'qmstop',
    lxc: 'vzstop',
    refuse: demandRunning,
    work: (_call, guest) => {
      demandUnlocked(guest);
      stopGuest(guest);
    },
  },
  shutdown: {
    qemu: 'qmshutdown',
    lxc: 'vzshutdown',
    refuse: demandRunning,
    work: (call, guest, task) => shutdown(guest, integer(call, 'timeout') ?? 60, task),
  },
  reboot: {
    qemu: 'qmreboot',
    lxc: 'vzreboot',
    refuse: demandRunning,
    work: async (call, guest, task) => {
      demandRunning(guest);
      await shutdown(guest, integer(call, 'timeout') ?? 60, task);
      start(call.sim, guest);
    },
  },
  reset: { qemu: 'qmreset', work: (_call, guest) => demandRunning(guest) },
  suspend: {
    qemu: 'qmpause',
    lxc: 'vzsuspend',
    refuse: demandRunning,
    work: (_call, guest) => {
      demandRunning(guest);
      guest.paused = true;
    },
  },
  resume: {
    qemu: 'qmresume',
    lxc: 'vzresume',
    work: (_call, guest) => {
      demandRunning(guest);
      guest.paused = false;
    },
  },
};

const found = (call: Call, type: Type): Guest | undefined => {
  const guest = call.world.guests.get(Number(param(call, 'vmid')));
  return guest?.type === type ? guest : undefined;
};

const handler = (type: Type, power: Power, worker: string) => (call: Call) => {
  const guest = found(call, type);
  if (guest && type === 'lxc') power.refuse?.(guest);
  const vmid = param(call, 'vmid');
  return call.sim.tasks.fork({ type: worker, id: vmid, ...owner(call) }, async (task) => {
    const now = found(call, type);
    if (!now) throw missingConfig(call, type, vmid);
    await power.work(call, now, task);
    call.sim.saved();
  });
};

const actions = (type: Type): Area =>
  Object.fromEntries(
    Object.entries(POWER).flatMap(([name, power]) => {
      const worker = power[type];
      return worker === undefined ? [] : [[`POST /nodes/{node}/${type}/{vmid}/status/${name}`, handler(type, power, worker)]];
    }),
  );

const SEPARATE: Record<
  string,
  { title: string; skip: (guest: Guest) => string | undefined; work: (sim: Sim, guest: Guest) => void }
> = {
  start: { title: 'Starting guests', skip: (g) => (g.status === 'running' ? 'already running' : undefined), work: start },
  shutdown: {
    title: 'Shutting down guests',
    skip: (g) => (g.status === 'running' ? undefined : 'not running'),
    work: (_sim, g) => stopGuest(g),
  },
  suspend: {
    title: 'Suspending guests',
    skip: (g) => (g.status === 'running' ? undefined : 'not running'),
    work: (_sim, g) => {
      g.paused = true;
    },
  },
};

/** One task for many guests; those it cannot serve are warnings. */
const bulk = (name: string) => (call: Call) => {
  const given = call.params.vms;
  const asked = Array.isArray(given) ? given.map(Number) : [...call.world.guests.keys()];
  const { title, skip, work } = SEPARATE[name] as (typeof SEPARATE)[string];
  for (const vmid of asked) call.who.demand(`/vms/${vmid}`, 'VM.PowerMgmt');
  return call.sim.tasks.fork({ type: `bulk-${name}`, id: '', ...owner(call) }, async (task) => {
    task.log(`${title}: ${asked.join(', ')}`);
    for (const vmid of asked) {
      const guest = call.world.guests.get(vmid);
      const why = guest ? skip(guest) : 'guest does not exist';
      if (!guest || why !== undefined) task.warn(`Skipping ${guest ? label(guest) : `guest ${vmid}`}, ${why}.`);
      else {
        task.log(`${title.replace(' guests', '')} ${label(guest)} (${guestName(guest)})`);
        work(call.sim, guest);
      }
    }
  });
};

export const power: Area = {
  ...actions('lxc'),
  ...actions('qemu'),
  'POST /cluster/bulk-action/guest/start': bulk('start'),
  'POST /cluster/bulk-action/guest/shutdown': bulk('shutdown'),
  'POST /cluster/bulk-action/guest/suspend': bulk('suspend'),
};
