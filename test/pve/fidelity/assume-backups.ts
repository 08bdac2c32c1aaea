/** Backup jobs, the cluster log, and the circumstances of the recorded vzdump runs. */

import type { ConfigValue } from '../world.ts';
import type { Scene } from './assume.ts';
import { ensureGuest } from './assume-guests.ts';
import { dataOf, isObject, type Json, type JsonObject, pathOf, rowsOf, succeeded } from './exchange.ts';

const flat = (value: Json): ConfigValue =>
  isObject(value)
    ? Object.entries(value)
        .map(([key, inner]) => `${key}=${String(inner)}`)
        .join(',')
    : (value as ConfigValue);

const job = (row: JsonObject): Record<string, ConfigValue> =>
  Object.fromEntries(
    Object.entries(row)
      .filter(([key]) => key !== 'next-run' && key !== 'id')
      .map(([key, value]) => [key, flat(value)]),
  );

const readJobs = ({ pve, exchange, session }: Scene): void => {
  const data = dataOf(exchange);
  const id = pathOf(exchange)[2];
  const name = (recorded: string) => session.knows(recorded) ?? recorded;
  if (id !== undefined && isObject(data)) pve.world.backupJobs.set(name(id), job(data));
  if (id !== undefined) return;
  // A job made without an id has another made-up one here.
  const own = [...pve.world.backupJobs.keys()];
  for (const row of rowsOf(exchange)) {
    const recorded = String(row.id);
    const made = own.find(
      (mine) => /^[0-9a-f]{8}-/.test(mine) && !rowsOf(exchange).some((other) => name(String(other.id)) === mine),
    );
    if (/^[0-9a-f]{8}-/.test(recorded) && !own.includes(name(recorded)) && made !== undefined) session.learn(recorded, made);
  }
  const rows = rowsOf(exchange);
  for (const mine of own) if (!rows.some((row) => name(String(row.id)) === mine)) pve.world.backupJobs.delete(mine);
  for (const row of rows)
    if (!pve.world.backupJobs.has(name(String(row.id)))) pve.world.backupJobs.set(name(String(row.id)), job(row));
};

const readLog = ({ pve, exchange }: Scene): void => {
  const rows = rowsOf(exchange).reverse();
  pve.world.log = rows.map((row) => ({
    time: Number(row.time),
    pri: Number(row.pri),
    tag: String(row.tag),
    user: String(row.user),
    msg: String(row.msg),
  }));
};

/** Where the recorded worker still stood when its log was read: this one shall wait there too. */
const waitsAt = (log: string[] | undefined): RegExp => {
  const last = log?.at(-1) ?? 'INFO: creating vzdump archive';
  const plain = last.replace(/\d{4}.*/, '').slice(0, 40);
  return new RegExp(plain.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\d+/g, '\\d+'));
};

/** A failure that the recorded machine had and this one would not have. */
const failure = (log: string[] | undefined): { vmid: number; text: string } | undefined => {
  const found = (log ?? []).map((line) => /^ERROR: Backup of VM (\d+) failed - (.*)$/.exec(line)).find((m) => m !== null);
  return found ? { vmid: Number(found[1]), text: found[2] ?? '' } : undefined;
};

const beforeVzdump = (scene: Scene): void => {
  const { pve, exchange, knowledge } = scene;
  const upid = dataOf(exchange);
  const known = typeof upid === 'string' ? knowledge.tasks.get(upid) : undefined;
  const vmids = (new URLSearchParams(exchange.request.body ?? '').get('vmid') ?? '').split(',').map(Number);
  for (const vmid of vmids) {
    const type = knowledge.configs.get(vmid)?.[0]?.value.type;
    if (!pve.world.guests.has(vmid) && (type === 'lxc' || type === 'qemu')) ensureGuest(scene, vmid, type);
  }
  if (!/is locked/.test((known?.log ?? []).join('\n'))) for (const guest of pve.world.guests.values()) delete guest.config.lock;
  const stopsEarly = known?.exitstatus === 'unexpected status' && known.log?.length === 1;
  pve.vzdumpFaults.hang = known?.runningAt === undefined || stopsEarly ? undefined : waitsAt(known.runningLog);
  const [first] = vmids;
  const there = pve.world.guests.has(first ?? 0);
  if (known?.exitstatus !== 'job errors') pve.vzdumpFaults.fail = undefined;
  else
    pve.vzdumpFaults.fail =
      failure(known.log) ?? (there && vmids.length === 1 ? { vmid: first ?? 0, text: 'failed' } : undefined);
};

export const assumeBackups = (scene: Scene): void => {
  const { exchange } = scene;
  const [first, second, third] = pathOf(exchange);
  if (!succeeded(exchange)) return;
  if (exchange.request.method === 'POST' && first === 'nodes' && third === 'vzdump') beforeVzdump(scene);
  if (exchange.request.method !== 'GET') return;
  if (first === 'cluster' && second === 'backup') readJobs(scene);
  if (first === 'cluster' && second === 'log' && rowsOf(exchange).length > 0) readLog(scene);
};
