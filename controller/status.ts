/** Composition root of `status`: builds the ports, asks once, and closes them. */
import { access, constants } from 'node:fs/promises';
import { timestamp } from '#shared/ids';
import type { ControllerConfig } from './config.ts';
import { type Overview, type OwnState, takeOverview } from './health/overview.ts';
import { createAgentClient } from './ports/agent-client.ts';
import { bootstrapFile } from './ports/bootstrap.ts';
import { systemClock } from './ports/clock.ts';
import { readInstance } from './ports/instance.ts';
import { runningLoop } from './ports/lock.ts';
import { askStatus, quiescedAt } from './ports/quiesced.ts';
import { readResult } from './ports/record.ts';

const ownState = async (stateDir: string): Promise<OwnState> => {
  await access(stateDir, constants.R_OK | constants.X_OK).catch((error: NodeJS.ErrnoException) => {
    throw new Error(
      error.code === 'ENOENT'
        ? 'The controller has never run here.'
        : 'This user may not read it; try as root or as the user felhom.',
    );
  });
  const [loop, last] = await Promise.all([runningLoop(stateDir), readResult(stateDir)]);
  return { loop, last };
};

/** Sends the loop's instance id or none: a second one would look like a copy of this guest. */
export const askEverything = async (config: ControllerConfig): Promise<Overview> => {
  const instance = await readInstance(config.runtimeDir);
  const agent = createAgentClient({ source: bootstrapFile(config.bootstrap), clock: systemClock, instance });
  try {
    const connect = quiescedAt(config.quiesced, systemClock);
    const ports = { agent, own: () => ownState(config.stateDir), quiesced: () => askStatus(connect) };
    return await takeOverview(ports, timestamp(Date.now()));
  } finally {
    await agent.close();
  }
};
