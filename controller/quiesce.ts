/** Composition root of `quiesce test` and `quiesce status`: builds the ports, asks, and closes them. */
import type { QuiescedStatus } from '#shared/quiesce/protocol';
import { type Trial, tryHolds } from './backup/trial.ts';
import type { ControllerConfig } from './config.ts';
import { createAgentClient } from './ports/agent-client.ts';
import { disksBehind } from './ports/block-devices.ts';
import { bootstrapFile } from './ports/bootstrap.ts';
import { systemClock } from './ports/clock.ts';
import { readInstance } from './ports/instance.ts';
import { readMounts } from './ports/mounts.ts';
import { type Answered, askStatus, quiescedAt } from './ports/quiesced.ts';

export const askQuiesced = (config: ControllerConfig): Promise<Answered<QuiescedStatus>> =>
  askStatus(quiescedAt(config.quiesced, systemClock));

/** Sends the loop's instance id or none, as `status` does. */
export const testQuiesce = async (config: ControllerConfig): Promise<Answered<Trial>> => {
  const instance = await readInstance(config.runtimeDir);
  const agent = createAgentClient({ source: bootstrapFile(config.bootstrap), clock: systemClock, instance });
  try {
    const connect = quiescedAt(config.quiesced, systemClock);
    return await tryHolds({ agent, connect, mounts: () => readMounts(config.mountinfo), disksBehind });
  } finally {
    await agent.close();
  }
};
