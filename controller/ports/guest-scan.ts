/** Takes the readings that `quiesce discover` decides on. Changes nothing, and connects to nothing but Docker's socket. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseMountinfo } from '#shared/mountinfo';
import type { Findings } from '../discover/findings.ts';
import { runningContainers } from './docker-read.ts';
import { runningProcesses } from './processes.ts';
import { listeningSockets } from './sockets.ts';

export interface Where {
  /** Others than the usual ones are for tests. */
  proc: string;
  docker: string;
}

export const scanGuest = async ({ proc, docker }: Where): Promise<Findings> => {
  const mounts = parseMountinfo(await readFile(join(proc, 'self', 'mountinfo'), 'utf8'));
  const sockets = await listeningSockets(proc);
  const [processes, containers] = await Promise.all([runningProcesses(proc, sockets, mounts), runningContainers(docker)]);
  return {
    processes,
    sockets: [...sockets.values()].flatMap((one) => (one.kind === 'unix' ? [one.path] : [])),
    docker: containers,
    mounts,
    hidden: processes.filter(({ files }) => files === null).length,
  };
};
