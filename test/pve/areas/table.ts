/** Every handler of the simulator, by method and path. */

import type { Area, Handler } from '../sim.ts';
import { access } from './access.ts';
import { cluster } from './cluster.ts';
import { clusterResources } from './cluster-resources.ts';
import { content } from './content.ts';
import { disks } from './disks.ts';
import { empty } from './empty.ts';
import { guestReads } from './guests.ts';
import { indexes } from './indexes.ts';
import { nodes } from './nodes.ts';
import { prune } from './prune.ts';
import { rrd } from './rrd.ts';
import { schedule } from './schedule.ts';
import { storage } from './storage.ts';
import { taskArea } from './tasks.ts';
import { vzdump } from './vzdump.ts';

const OWN: Area[] = [
  access,
  cluster,
  clusterResources,
  content,
  disks,
  guestReads,
  nodes,
  prune,
  rrd,
  schedule,
  storage,
  taskArea,
  vzdump,
];

/** What an area says goes before the general indexes and the empty lists. */
export const AREAS: Readonly<Record<string, Handler>> = Object.assign({}, empty, indexes(), ...OWN);
