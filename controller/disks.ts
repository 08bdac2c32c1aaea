/** Composition root of `disks …`: builds the ports, lets one flow use them, and closes them. */
import type { ControllerConfig } from './config.ts';
import type { FlowPorts, Talk } from './disks/flow.ts';
import { createAgentClient } from './ports/agent-client.ts';
import { bootstrapFile } from './ports/bootstrap.ts';
import { systemClock } from './ports/clock.ts';
import { readInstance } from './ports/instance.ts';

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
