/** The Proxmox port over HTTP: paths, parameters, and the quirks of the answers (numbers as text, empty for forbidden). */
import { type GuestType, type Proxmox, ProxmoxError, type Resources, type StorageConfig, type VzdumpRequest } from './proxmox.ts';
import { guestOf, type Json, list, number, record, storageConfigOf, storageOf, text, texts } from './proxmox-answers.ts';
import { switchCalls } from './proxmox-switches.ts';
import { taskCalls } from './proxmox-tasks.ts';
import { createTransport, type TransportOptions } from './proxmox-transport.ts';
import { volumeCalls } from './proxmox-volumes.ts';
import { parseUpid } from './upid.ts';

export interface ProxmoxOptions extends TransportOptions {
  /** This node's name. */
  node: string;
}

const TOKEN = /^([^\s:/@!=]+@[^\s:/@!=]+![A-Za-z][A-Za-z0-9._-]*)=([0-9A-Za-z-]+)$/;

/** As many as Proxmox answers at most. */
const OCCURRENCES = 100;

export const createProxmox = ({ node, ...options }: ProxmoxOptions): Proxmox => {
  const tokenName = TOKEN.exec(options.token)?.[1];
  if (tokenName === undefined) throw new Error('The Proxmox token is not of the form user@realm!name=uuid.');
  const transport = createTransport(options);
  const { get, post } = transport;
  const onNode = `/nodes/${encodeURIComponent(node)}`;

  const privileges = async (path: string): Promise<Json> => record(record(await get('/access/permissions', { path }))[path]);

  /** An empty list may mean that nothing may be seen (PVE filters instead of refusing). The value is only the propagate flag. */
  const requireRight = async (call: string, path: string, privilege: string): Promise<void> => {
    if (privilege in (await privileges(path))) return;
    throw new ProxmoxError({
      method: 'GET',
      path: call,
      status: 200,
      message: `Proxmox showed an empty list because the token lacks ${privilege} on ${path}.`,
      effect: 'never',
      rightMissing: true,
    });
  };

  const resources = async (): Promise<Resources> => {
    const rows = list(await get('/cluster/resources'));
    const guests = rows.filter((row) => row.type === 'lxc' || row.type === 'qemu').map(guestOf);
    const storages = rows.filter((row) => row.type === 'storage').map(storageOf);
    if (guests.length === 0) await requireRight('/cluster/resources', '/vms', 'VM.Audit');
    if (storages.length === 0) await requireRight('/cluster/resources', '/storage', 'Datastore.Audit');
    return { guests, storages };
  };

  const storageConfigs = async (): Promise<StorageConfig[]> => {
    const rows = list(await get('/storage'));
    if (rows.length === 0) await requireRight('/storage', '/storage', 'Datastore.Audit');
    return rows.map(storageConfigOf);
  };

  const guestConfig = async (type: GuestType, vmid: number): Promise<Record<string, string>> =>
    texts(record(await get(`${onNode}/${type}/${vmid}/config`)));

  const startVzdump = async ({ vmid, storage, mode, compress, notes }: VzdumpRequest): Promise<string> => {
    const path = `${onNode}/vzdump`;
    const retention = { lockwait: 0, 'prune-backups': 'keep-all=1' };
    const answer = await post(path, { vmid, storage, mode, compress, ...retention, 'notes-template': escapeNotes(notes) });
    if (typeof answer === 'string' && parseUpid(answer)) return answer;
    const absent = answer === 'OK'; // PVE/API2/VZDump.pm: none of the guests is on this node
    const message = absent ? 'guest not on this node' : 'Proxmox answered no task id.';
    throw new ProxmoxError({ method: 'POST', path, status: 200, message, effect: absent ? 'never' : 'unknown' });
  };

  const analyzeSchedule = async (schedule: string, start: number): Promise<number[]> => {
    const rows = list(await get('/cluster/jobs/schedule-analyze', { schedule, starttime: start, iterations: OCCURRENCES }));
    return rows.flatMap(({ timestamp }) => number(timestamp) ?? []);
  };

  const timezone = async (): Promise<string> => {
    const path = `${onNode}/time`;
    const name = text(record(await get(path)).timezone);
    if (name !== '') return name;
    throw new ProxmoxError({ method: 'GET', path, status: 200, message: 'Proxmox told no time zone.', effect: 'never' });
  };

  const tasks = taskCalls({ ...transport, node, tokenName, requireRight });
  return {
    node,
    tokenName,
    resources,
    storageConfigs,
    guestConfig,
    startVzdump,
    analyzeSchedule,
    timezone,
    ...tasks,
    ...switchCalls(transport),
    ...volumeCalls({ ...transport, node, clock: options.clock, taskStatus: tasks.taskStatus, privileges, requireRight }),
    close: transport.close,
  };
};

/** One line, and nothing that Proxmox's template would replace (PVE/VZDump.pm, generate_notes). */
const escapeNotes = (notes: string): string =>
  notes.replaceAll('{{', '{ {').replaceAll('\\', '\\\\').replaceAll(/\r?\n/g, '\\n').slice(0, 1024);
