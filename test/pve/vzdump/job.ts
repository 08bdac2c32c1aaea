/** What a call asks for: the guests, the storage and the options, as vzdump merges them. Pure. */

import type { World } from '../world.ts';
import type { Compression } from './archive.ts';
import type { Mode } from './case.ts';
import { keepsAll, parseRetention, type Retention } from './prune.ts';

export type Params = Readonly<Record<string, unknown>>;

export interface Job {
  vmids: number[];
  /** Guests of other nodes that were asked for. */
  skipped: number[];
  all: boolean;
  storage: string;
  mode: Mode;
  compression: Compression;
  bwlimit: number;
  ionice: number;
  lockwaitMinutes: number;
  notesTemplate: string;
  protect: boolean;
  remove: boolean;
  /** Given with the call; else the storage's. */
  retention: Retention | undefined;
}

const text = (value: unknown): string => (value === undefined || value === null ? '' : String(value));
const flag = (value: unknown, otherwise: boolean): boolean =>
  value === undefined ? otherwise : ['1', 'true', 'on', 'yes'].includes(text(value));
const number = (value: unknown, otherwise: number): number => (value === undefined ? otherwise : Number(value));

/** Lists are split as PVE::Tools::split_list does. */
const ids = (value: unknown): number[] =>
  text(value)
    .split(/[,;\s\0]+/)
    .filter((id) => id !== '')
    .map(Number);

const COMPRESSION: Record<string, Compression> = { zstd: 'zstd', gzip: 'gzip', 1: 'gzip' };

const asked = (params: Params, world: World): number[] => {
  if (params.vmid !== undefined) return ids(params.vmid);
  if (params.pool !== undefined) return [...(world.pools.get(text(params.pool))?.vms ?? [])];
  const excluded = new Set(ids(params.exclude));
  return [...world.guests.keys()].filter((vmid) => !excluded.has(vmid));
};

/** `elsewhere`: guests that the cluster knows on another node. */
export const readJob = (params: Params, world: World, elsewhere: ReadonlySet<number>): Job => {
  const wanted = asked(params, world).sort((a, b) => a - b);
  return {
    vmids: wanted.filter((vmid) => !elsewhere.has(vmid)),
    skipped: wanted.filter((vmid) => elsewhere.has(vmid)),
    all: flag(params.all, params.exclude !== undefined && params.pool === undefined),
    storage: text(params.storage) || 'local',
    mode: (text(params.mode) || 'snapshot') as Mode,
    compression: COMPRESSION[text(params.compress)] ?? 'none',
    bwlimit: number(params.bwlimit, 0),
    ionice: number(params.ionice, 7),
    lockwaitMinutes: number(params.lockwait, 180),
    notesTemplate: text(params['notes-template']),
    protect: flag(params.protected, false),
    remove: flag(params.remove, true),
    retention: parseRetention(text(params['prune-backups']) || undefined),
  };
};

/** PVE::Tools::shellquote: bare where nothing needs quoting. */
const quote = (value: string): string => (/^[\w!%+,\-./:@^]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`);

/** The command line that the log's first line shows; `job-id` stays out. */
export const commandLine = (params: Params, node: string): string => {
  const shown = Object.entries<unknown>({ node, ...params })
    .filter(([name, value]) => name !== 'vmid' && name !== 'job-id' && text(value) !== '')
    .map(([name, value]) => `--${name} ${quote(typeof value === 'boolean' ? String(Number(value)) : text(value))}`);
  return ['vzdump', ...(params.vmid === undefined ? [] : ids(params.vmid).map(String)), ...shown].join(' ');
};

/** What is kept, and nothing at all to remove when everything is. */
export const effectiveRetention = (job: Job, ofStorage: Retention | undefined): { retention: Retention; remove: boolean } => {
  const retention = job.retention ?? ofStorage ?? { 'keep-all': 1 };
  return { retention, remove: job.remove && !keepsAll(retention) };
};

/** A template's variables; an unknown one is an error whose text becomes a warning. */
export const renderNotes = (template: string, values: Readonly<Record<string, string>>): string => {
  const plain = template.replace(/\\(n|\\)/g, (_all, c: string) => (c === 'n' ? '\n' : '\\'));
  return plain.replace(/\{\{([^\s}]+)\}\}/g, (_all, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`unexpected variable name '${name}'`);
    return value;
  });
};
