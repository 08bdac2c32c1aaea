/** Backup jobs of the cluster. */

import { randomUUID } from 'node:crypto';
import { died, parameterError, permissionError } from '../api/errors.ts';
import { splitList } from '../api/formats.ts';
import { parsePropertyString } from '../api/property-string.ts';
import { typedValue } from '../api/typed.ts';
import { nextEvent, parseCalendarEvent } from '../calendar.ts';
import { type Area, type Call, optional, param } from '../sim.ts';
import type { ConfigValue } from '../world.ts';
import { checkBackupParameters, checkSelection } from './vzdump.ts';

type Job = Record<string, ConfigValue>;

/** Property strings that the answers take apart, with values as text. */
const TAKEN_APART = ['prune-backups', 'performance', 'fleecing'];

const shown = (id: string, job: Job): Record<string, unknown> => {
  const fields = Object.entries(job).map(([key, value]) => [
    key,
    TAKEN_APART.includes(key) ? parsePropertyString(String(value)) : value,
  ]);
  return { ...Object.fromEntries(fields), id, type: 'vzdump' };
};

/** Computed from now, also for a disabled job. */
const nextRun = (call: Call, job: Job): Record<string, number> => {
  const event = parseCalendarEvent(String(job.schedule ?? ''));
  const next = event ? nextEvent(event, call.now) : undefined;
  return next === undefined ? {} : { 'next-run': next };
};

const list = (call: Call): unknown[] =>
  [...call.world.backupJobs].map(([id, job]) => ({ ...shown(id, job), ...nextRun(call, job) }));

const noSuchJob = (id: string) => parameterError({ id: `No such job '${id}'` });

const existing = (call: Call): Job => {
  const id = param(call, 'id');
  const job = call.world.backupJobs.get(id);
  if (!job) throw noSuchJob(id);
  return job;
};

const NOT_CONFIG = ['id', 'starttime', 'dow', 'delete', 'digest'];

const fields = (call: Call, method: string, template: string): Job => {
  const own = Object.entries(call.params).filter(([key]) => !NOT_CONFIG.includes(key));
  const job: Job = Object.fromEntries(own.map(([key, value]) => [key, typedValue(method, template, key, value)]));
  const start = optional(call, 'starttime');
  // The old way to say when.
  if (start !== undefined) job.schedule = `${param(call, 'dow') ? `${param(call, 'dow')} ` : ''}${start}`;
  return job;
};

const checkTarget = (call: Call): void => {
  checkBackupParameters(call);
  const storage = optional(call, 'storage');
  if (storage !== undefined) call.who.demand(`/storage/${storage}`, 'Datastore.Allocate');
  const pool = optional(call, 'pool');
  if (pool === undefined) return;
  if (!call.world.pools.has(pool)) throw permissionError(`pool '${pool}' does not exist`);
  call.who.demand(`/pool/${pool}`, 'VM.Backup');
};

const create = (call: Call): null => {
  checkTarget(call);
  checkSelection(call);
  if (optional(call, 'schedule') === undefined && optional(call, 'starttime') === undefined)
    throw parameterError({ starttime: 'property is missing' });
  const id = optional(call, 'id') ?? randomUUID();
  if (call.world.backupJobs.has(id)) throw died(`Job '${id}' already exists`);
  call.world.backupJobs.set(id, { enabled: 1, ...fields(call, 'POST', '/cluster/backup') });
  return null;
};

const update = (call: Call): null => {
  const job = existing(call);
  checkTarget(call);
  Object.assign(job, fields(call, 'PUT', '/cluster/backup/{id}'));
  for (const key of splitList(param(call, 'delete'))) delete job[key];
  return null;
};

/** A job that is not there is a 500 whose text holds the 400. */
const remove = (call: Call): null => {
  const id = param(call, 'id');
  if (!call.world.backupJobs.delete(id)) throw died(`400 Parameter verification failed.\nid: No such job '${id}'\n`);
  return null;
};

export const jobs: Area = {
  'GET /cluster/backup': list,
  'POST /cluster/backup': create,
  'GET /cluster/backup/{id}': (call) => shown(param(call, 'id'), existing(call)),
  'PUT /cluster/backup/{id}': update,
  'DELETE /cluster/backup/{id}': remove,
};
