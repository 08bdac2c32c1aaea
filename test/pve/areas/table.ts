/** Every handler of the simulator, by method and path. */

import type { Area, Handler } from '../sim.ts';
import { access } from './access.ts';
import { accessWrites } from './access-writes.ts';
import { agent } from './agent.ts';
import { cluster } from './cluster.ts';
import { clusterResources } from './cluster-resources.ts';
import { content } from './content.ts';
import { disks } from './disks.ts';
import { empty } from './empty.ts';
import { guestCreate } from './guest-create.ts';
import { guestWrites } from './guest-writes.ts';
import { guestReads } from './guests.ts';
import { indexes } from './indexes.ts';
import { jobs } from './jobs.ts';
import { loginArea } from './login.ts';
import { nodes } from './nodes.ts';
import { pools } from './pools.ts';
import { power } from './power.ts';
import { prune } from './prune.ts';
import { rrd } from './rrd.ts';
import { schedule } from './schedule.ts';
import { snapshots } from './snapshots.ts';
import { storage } from './storage.ts';
import { storageWrites } from './storage-writes.ts';
import { taskArea } from './tasks.ts';
import { vzdump } from './vzdump.ts';

const OWN: Area[] = [
  access,
  accessWrites,
  agent,
  cluster,
  clusterResources,
  content,
  disks,
  guestCreate,
  guestReads,
  guestWrites,
  jobs,
  loginArea,
  nodes,
  pools,
  power,
  prune,
  rrd,
  schedule,
  snapshots,
  storage,
  storageWrites,
  taskArea,
  vzdump,
];

/** What an area says goes before the general indexes and the empty lists. */
export const AREAS: Readonly<Record<string, Handler>> = Object.assign({}, empty, indexes(), ...OWN);
