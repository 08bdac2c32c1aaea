/** Composition root of `disks …`: builds the ports, lets one flow use them, and closes them. */
import { inert } from '#shared/inert';
import type { ControllerConfig } from './config.ts';
import type { FlowPorts, Talk } from './disks/flow.ts';
import { wrapped } from './disks/lines.ts';
import { createAgentClient } from './ports/agent-client.ts';
import { bootstrapFile } from './ports/bootstrap.ts';
import { systemClock } from './ports/clock.ts';
import { readInstance } from './ports/instance.ts';
import { terminalAsk } from './ports/terminal.ts';

/** Of whoever has no terminal, or does not say. */
const USUAL_COLUMNS = 80;
const MOST_COLUMNS = 140;
const LEAST_COLUMNS = 40;

/** Answers on stdout, everything else on stderr. */
export const talkOf = ({ out, err }: Record<'out' | 'err', (text: string) => void>): Talk => {
  const { columns: own = USUAL_COLUMNS } = process.stdout;
  const columns = Math.max(LEAST_COLUMNS, Math.min(own === 0 ? USUAL_COLUMNS : own, MOST_COLUMNS));
  return {
    answer: (...lines) => out(lines.map((line) => `${line}\n`).join('')),
    tell: (text) => err(`${wrapped(inert(text), columns).join('\n')}\n`),
    ask: terminalAsk(process.stdin, process.stderr),
    columns,
  };
};

/** Sends the loop's instance id or none, as `status` does. The first Ctrl-C ends the waiting, a second one the program. */
export const withDrives = async <T>(config: ControllerConfig, talk: Talk, flow: (ports: FlowPorts) => Promise<T>): Promise<T> => {
  const instance = await readInstance(config.runtimeDir);
  const agent = createAgentClient({ source: bootstrapFile(config.bootstrap), clock: systemClock, instance });
  const givenUp = new AbortController();
  const giveUp = () => givenUp.abort();
  process.once('SIGINT', giveUp);
  try {
    return await flow({ agent, clock: systemClock, talk, signal: givenUp.signal });
  } finally {
    process.removeListener('SIGINT', giveUp);
    await agent.close();
  }
};
