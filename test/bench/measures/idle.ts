/** What agent and controller cost while nothing happens: one guest, the agent started as at any boot, a backup taken, one question a minute. */
import { setTimeout as pause } from 'node:timers/promises';
import type { EnrolledGuests } from '#shared/wire/admin';
import { run } from '../../demo/processes.ts';
import { atMost, type Figure, summarise } from '../figure.ts';
import { type AgentProcess, backupEnded, restartAgent, startController, startHost } from '../host.ts';
import type { Measure } from '../measure.ts';
import { cpuSeconds, residentMegabytes } from '../proc.ts';

const SAMPLES = 12;
/** The controller asks again 50 to 70 s after the backup: a minute that begins this long after it holds exactly one question. */
const SETTLE_MS = 15_000;

interface Watched {
  name: string;
  program: AgentProcess;
  residentBudget: number;
  cpuBefore: number;
  resident: number[];
}

const watch = (name: string, program: AgentProcess, residentBudget: number): Watched => ({
  name,
  program,
  residentBudget,
  cpuBefore: cpuSeconds(program.pid),
  resident: [],
});

const figuresOf = ({ name, program, residentBudget, cpuBefore, resident }: Watched, seconds: number): Figure[] => {
  const used = cpuSeconds(program.pid) - cpuBefore;
  return [
    {
      name: `${name}, resident memory when idle`,
      value: Math.max(...resident),
      unit: 'MB',
      budget: atMost(residentBudget),
      note: `the largest of ${resident.length} looks`,
      samples: summarise(resident),
    },
    {
      name: `${name}, CPU when idle`,
      value: (100 * used) / seconds,
      unit: '% of a core',
      budget: atMost(0.5),
      note: `${(used * 1000).toFixed(0)} ms in ${seconds.toFixed(0)} s`,
    },
  ];
};

/** When the agent was last asked with the guest's token, in milliseconds since 1970. */
const lastSeenAt = async (config: string): Promise<number> => {
  const { guests } = JSON.parse(await run('agent', ['guest', 'list', '--json', '--config', config])) as EnrolledGuests;
  return Date.parse(guests[0]?.last_seen_at ?? '');
};

export const idle: Measure = {
  name: 'idle',
  about: 'memory, CPU and Proxmox requests while nothing happens',
  run: async ({ scope, quick, say }) => {
    const windowSeconds = quick ? 20 : 60;
    const host = await restartAgent(scope, await startHost(scope));
    const controller = await startController(scope, host, '60s');
    const { phase, error } = await backupEnded(host, controller, 120_000);
    if (phase !== 'done') throw new Error(`the backup failed: ${error}`);
    await pause(quick ? 2_000 : SETTLE_MS);
    say(`${windowSeconds} s of nothing`);
    const watched = [watch('agent', host.agent, 75), watch('controller', controller, 70)];
    const asked = host.pve.requests.length;
    const began = performance.now();
    const beganAt = Date.now();
    for (let sample = 0; sample < SAMPLES; sample += 1) {
      await pause((windowSeconds * 1000) / SAMPLES);
      for (const { resident, program } of watched) resident.push(residentMegabytes(program.pid));
    }
    const seconds = (performance.now() - began) / 1000;
    const requests = host.pve.requests.slice(asked);
    if (!quick && (await lastSeenAt(host.config)) < beganAt) throw new Error('the controller did not ask within the minute');
    return [
      ...watched.flatMap((one) => figuresOf(one, seconds)),
      {
        name: 'Proxmox requests when idle',
        value: (requests.length * 60) / seconds,
        unit: '/min',
        budget: atMost(6),
        note: [...new Set(requests.map(({ method, path }) => `${method} ${path}`))].join(', ') || 'none was made',
      },
    ];
  },
};
