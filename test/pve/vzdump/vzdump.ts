/** The vzdump of the simulated node: `POST /nodes/{node}/vzdump`. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VzdumpFaults } from './faults.ts';
import { type Params, readJob } from './job.ts';
import type { VzdumpOptions, Who } from './run.ts';
import { createVoice } from './voice.ts';
import { work } from './worker.ts';

/** Guests that `.vmlist` places on another node. */
const readElsewhere = ({ world, files }: VzdumpOptions): Set<number> => {
  const file = join(files.configDir, '.vmlist');
  if (!existsSync(file)) return new Set();
  const { ids = {} } = JSON.parse(readFileSync(file, 'utf8')) as { ids?: Record<string, { node: string }> };
  return new Set(
    Object.keys(ids)
      .filter((vmid) => ids[vmid]?.node !== world.node)
      .map(Number),
  );
};

export type { VzdumpFaults } from './faults.ts';
export type { VzdumpOptions, Who } from './run.ts';

export const createVzdump = (o: VzdumpOptions) => {
  const faults: VzdumpFaults = {};

  /** Answers the UPID, or `OK` when none of the guests is on this node. Parameters were checked against the schema before. */
  const start = (params: Params, who: Who): string => {
    const job = readJob(params, o.world, readElsewhere(o));
    if (job.vmids.length === 0 && !job.all) return 'OK';
    const id = job.vmids.length === 1 ? String(job.vmids[0]) : '';
    const spec = { type: 'vzdump', id, user: who.user, ...(who.tokenid === undefined ? {} : { tokenid: who.tokenid }) };
    return o.tasks.fork(spec, (task) => {
      const voice = createVoice({ ...o, task, faults });
      return work({ ...o, job, params, who, task, voice, faults });
    });
  };

  return { start, faults };
};
