/** Servers under the same load, in turns: what else the machine does meets all alike. */
import type { ChildProcess } from 'node:child_process';
import { ask } from './children.ts';
import { atLeast, type Figure, median, summarise } from './figure.ts';
import type { LoadJob, LoadResult } from './load.ts';

export interface Server {
  name: string;
  port: number;
  pid: number;
}

/** The agent, and what it is compared with. */
export interface Servers {
  agent: Server;
  /** A bare server with the agent's flags of Node.js. */
  bare: Server;
  /** The same without the flags, which save memory and cost speed. */
  bareWithoutFlags: Server;
}

type Load = Omit<LoadJob, 'port' | 'serverPid'>;
type Results = Record<keyof Servers, LoadResult[]>;

const ORDER = ['agent', 'bare', 'bareWithoutFlags'] as const;

const inTurns = async (generator: ChildProcess, servers: Servers, load: Load, rounds: number): Promise<Results> => {
  const results: Results = { agent: [], bare: [], bareWithoutFlags: [] };
  for (let round = 0; round < rounds; round += 1) {
    for (const which of ORDER) {
      const { port, pid } = servers[which];
      results[which].push(await ask<LoadJob, LoadResult>(generator, { ...load, port, serverPid: pid }));
    }
  }
  return results;
};

const perSecond = ({ answers, seconds }: LoadResult): number => answers / seconds;
/** For a second of the server's own CPU time: a machine that others use too disturbs this less. */
const perCpuSecond = ({ answers, serverCpu }: LoadResult): number => answers / serverCpu;

const ratio = (results: Results, yardstick: keyof Servers, rate: (result: LoadResult) => number): number =>
  median(results.agent.map(rate)) / median(results[yardstick].map(rate));

const percentOfCore = (results: readonly LoadResult[], side: 'serverCpu' | 'generatorCpu'): string =>
  `${median(results.map((result) => (100 * result[side]) / result.seconds)).toFixed(0)} %`;

const rateFigure = (name: string, results: readonly LoadResult[]): Figure => ({
  name,
  value: median(results.map(perSecond)),
  unit: '/s',
  note: `used of a core: server ${percentOfCore(results, 'serverCpu')}, load generator ${percentOfCore(results, 'generatorCpu')}`,
  samples: summarise(results.map(perSecond)),
});

/** One figure for each server and their ratio: medians of the rounds. */
export const compare = async (
  generator: ChildProcess,
  servers: Servers,
  { label, load, rounds }: { label: string; load: Load; rounds: number },
): Promise<Figure[]> => {
  const results = await inTurns(generator, servers, load, rounds);
  const byCpu = ratio(results, 'bare', perCpuSecond).toFixed(2);
  const withoutFlags = ratio(results, 'bareWithoutFlags', perSecond).toFixed(2);
  return [
    ...ORDER.map((which) => rateFigure(`${label}, ${servers[which].name}`, results[which])),
    {
      name: `${label}, agent : bare`,
      value: ratio(results, 'bare', perSecond),
      unit: 'ratio',
      budget: atLeast(0.6),
      note: `${byCpu} for a second of the servers' own CPU time; ${withoutFlags} to the bare one with Node's default heap`,
    },
  ];
};
