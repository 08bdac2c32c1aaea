/** The cluster of one node: status, next id, options, log, HA, and what notifies. */

import { parameterError } from '../api/errors.ts';
import { guestName } from '../guest-status.ts';
import { type Area, type Call, integer } from '../sim.ts';

const FIRST_VMID = 100;

const nextId = (call: Call): string => {
  const asked = integer(call, 'vmid');
  if (asked !== undefined) {
    if (call.world.guests.has(asked)) throw parameterError({ vmid: `VM ${asked} already exists` });
    return String(asked);
  }
  let id = FIRST_VMID;
  while (call.world.guests.has(id)) id += 1;
  return String(id);
};

/** Tags in use, and with Sys.Audit on `/` the options themselves. */
const options = (call: Call): Record<string, unknown> => {
  const tags = [...call.world.guests.values()].flatMap((g) =>
    String(g.config.tags ?? '')
      .split(/[;, ]/)
      .filter(Boolean),
  );
  const allowed = { 'allowed-tags': [...new Set(tags)].sort() };
  return call.who.may('/', 'Sys.Audit') ? { ...allowed, description: '', mac_prefix: 'BC:24:11' } : allowed;
};

/** Without Sys.Syslog on `/` one's own entries only; newest first. */
const log = (call: Call): unknown[] => {
  const { world, who } = call;
  const entries = (world.log ?? []).map((entry, i) => ({
    ...entry,
    uid: String(i + 1),
    id: `${i + 1}:${world.node}`,
    node: world.node,
    pid: 1200,
  }));
  const seen = who.may('/', 'Sys.Syslog') ? entries : entries.filter((entry) => entry.user === who.name);
  return seen.reverse().slice(0, integer(call, 'max') ?? 200);
};

const status = ({ world }: Call): unknown[] => [
  {
    id: `node/${world.node}`,
    ip: '127.0.0.1',
    level: '',
    local: 1,
    name: world.node,
    nodeid: 0,
    online: 1,
    type: 'node',
  },
];

const haStatus = ({ world }: Call): unknown[] => [
  { id: 'quorum', node: world.node, quorate: 1, status: 'OK', type: 'quorum' },
  { 'armed-state': 'standby', id: 'fencing', node: world.node, status: 'standby (CRM watchdog standby)', type: 'fencing' },
];

const MAIL_TO_ROOT = {
  name: 'mail-to-root',
  comment: "Send mails to root@pam's email address",
  type: 'sendmail',
  origin: 'builtin',
};

/** Guests that no enabled or disabled job covers. */
const notBackedUp = (call: Call): unknown[] => {
  const { world } = call;
  const jobs = [...world.backupJobs.values()];
  const list = (value: unknown): string[] =>
    String(value ?? '')
      .split(/[,; ]/)
      .filter(Boolean);
  const covered = (vmid: number): boolean =>
    jobs.some((job) => {
      const id = String(vmid);
      if (Number(job.all ?? 0) === 1) return !list(job.exclude).includes(id);
      if (job.pool !== undefined) return world.pools.get(String(job.pool))?.vms.has(vmid) === true;
      return list(job.vmid).includes(id);
    });
  return [...world.guests.values()]
    .filter((g) => !covered(g.vmid))
    .map((g) => ({ vmid: g.vmid, type: g.type, name: guestName(g) }));
};

export const cluster: Area = {
  'GET /cluster/nextid': nextId,
  'GET /cluster/options': options,
  'GET /cluster/log': log,
  'GET /cluster/status': status,
  'GET /cluster/ha/status/current': haStatus,
  'GET /cluster/notifications/targets': () => [MAIL_TO_ROOT],
  'GET /cluster/backup-info/not-backed-up': notBackedUp,
  'GET /cluster/config/nodes': () => [],
};
