/** What a worker's parts share: the node, the job, the task and its voice. */

import type { TaskHandle, Tasks } from '../tasks.ts';
import type { NodeFiles, World } from '../world.ts';
import type { VzdumpFaults } from './faults.ts';
import type { Job, Params } from './job.ts';
import type { Voice } from './voice.ts';

export interface VzdumpOptions {
  world: World;
  files: NodeFiles;
  tasks: Tasks;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** The pause before each line, asked anew each time. */
  lineDelayMs: () => number;
  /** Of the backup directory; the recorded node's is `overlay`, on which vzdump says where its temporary files are. */
  dumpdirFilesystem?: string;
  /** Called after each change to a guest or a storage: its configuration may be written anew. */
  saved?: () => void;
}

export interface Who {
  user: string;
  tokenid?: string;
  may(path: string, privilege: string): boolean;
}

export interface Run extends VzdumpOptions {
  job: Job;
  params: Params;
  who: Who;
  task: TaskHandle;
  voice: Voice;
  faults: VzdumpFaults;
}

/** How often a wait for something outside looks again. */
export const POLL_MS = 50;
