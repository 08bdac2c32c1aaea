/** QEMU's guest agent: refusals in their order, and plain answers where one runs. */

import { died } from '../api/errors.ts';
import { apiSchema } from '../api/schema.ts';
import { guestName } from '../guest-status.ts';
import { type Area, type Call, param } from '../sim.ts';
import type { Guest } from '../world.ts';
import { guestOf } from './guests.ts';

/** `agent: 0` passes: Proxmox only asks whether the key is there. */
const reach = (call: Call): Guest => {
  const guest = guestOf(call, 'qemu');
  if (guest.config.agent === undefined) throw died('No QEMU guest agent configured');
  if (guest.status !== 'running') throw died(`VM ${guest.vmid} is not running`);
  if (!guest.guestAgentRuns) throw died('QEMU guest agent is not running');
  return guest;
};

const ANSWERS: Record<string, (guest: Guest, call: Call) => unknown> = {
  'get-host-name': (guest) => ({ 'host-name': guestName(guest) }),
  'get-osinfo': () => ({
    id: 'debian',
    name: 'Debian GNU/Linux',
    'pretty-name': 'Debian GNU/Linux 12 (bookworm)',
    version: '12 (bookworm)',
  }),
  'get-time': (_guest, call) => call.now * 1_000_000_000,
  'fsfreeze-status': () => 'thawed',
  'fsfreeze-freeze': () => 1,
  'fsfreeze-thaw': () => 1,
  'get-fsinfo': () => [],
  'get-users': () => [],
  'get-vcpus': () => [],
  'network-get-interfaces': () => [
    {
      name: 'lo',
      'hardware-address': '00:00:00:00:00:00',
      'ip-addresses': [{ 'ip-address': '127.0.0.1', 'ip-address-type': 'ipv4', prefix: 8 }],
    },
  ],
  info: () => ({ version: '8.2.2', supported_commands: [] }),
};

/** Answers that are not known here are empty, as `ping`'s is. */
const ask = (call: Call, command: string): { result: unknown } => {
  const guest = reach(call);
  return { result: ANSWERS[command]?.(guest, call) ?? {} };
};

const area: Record<string, (call: Call) => unknown> = {};
const AT = '/nodes/{node}/qemu/{vmid}/agent';
for (const { path, info } of apiSchema().paths)
  if (path.startsWith(`${AT}/`))
    for (const method of Object.keys(info)) {
      const command = path.slice(AT.length + 1);
      area[`${method} ${path}`] = (call) => ask(call, command);
    }

export const agent: Area = {
  ...area,
  [`POST ${AT}`]: (call) => ask(call, param(call, 'command')),
};
