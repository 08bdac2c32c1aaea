/** The node itself: list, status, version, time, name servers, certificates, and what else one node answers. */

import { colonFingerprint } from '../certificate.ts';
import { nodeStatus, nodeUsage } from '../host.ts';
import { Answer, type Area, type Call } from '../sim.ts';

export const uptime = (call: Call): number => Math.max(1, Math.floor((call.sim.clock() - call.sim.startedAtMs) / 1000) + 3600);

/** Without Sys.Audit on the node only its name and state. */
const nodeRow = (call: Call): Record<string, unknown> => {
  const { world, who, sim } = call;
  const row = {
    id: `node/${world.node}`,
    node: world.node,
    type: 'node',
    ssl_fingerprint: colonFingerprint(sim.certificate.fingerprint),
  };
  if (!world.pvestatdReported) return { ...row, status: 'unknown' };
  const seen = who.may(`/nodes/${world.node}`, 'Sys.Audit');
  return { ...row, status: 'online', ...(seen ? nodeUsage(world, call.now, uptime(call)) : { level: '' }) };
};

const offsetS = (now: number): number => -new Date(now * 1000).getTimezoneOffset() * 60;

const certificateInfo = ({ sim, world }: Call) => [
  {
    filename: 'pve-ssl.pem',
    fingerprint: colonFingerprint(sim.certificate.fingerprint),
    issuer: `/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN=${world.node}.local`,
    notafter: sim.certificate.notAfter,
    notbefore: sim.certificate.notBefore,
    pem: sim.certificate.cert,
    'public-key-bits': 2048,
    'public-key-type': 'rsaEncryption',
    san: ['127.0.0.1', 'localhost', world.node],
    subject: `/OU=PVE Cluster Node/O=Proxmox Virtual Environment/CN=${world.node}.local`,
  },
];

export const nodes: Area = {
  'GET /version': ({ world }) => world.version,
  'GET /nodes': (call) => [nodeRow(call)],
  'GET /nodes/{node}/version': ({ world }) => world.version,
  'GET /nodes/{node}/status': (call) => nodeStatus(call.world, call.now, uptime(call)),
  'GET /nodes/{node}/time': ({ now }) => ({
    time: now,
    localtime: now + offsetS(now),
    timezone: process.env.TZ ?? Intl.DateTimeFormat().resolvedOptions().timeZone,
  }),
  'GET /nodes/{node}/dns': ({ world }) => world.host?.nameservers ?? { dns1: '127.0.0.1' },
  'GET /nodes/{node}/config': () => ({}),
  'GET /nodes/{node}/certificates/info': certificateInfo,
  'GET /nodes/{node}/subscription': () => ({
    status: 'notfound',
    message: 'There is no subscription key',
    serverid: '0123456789ABCDEF0123456789ABCDEF',
    url: 'https://www.proxmox.com/en/proxmox-virtual-environment/pricing',
  }),
  'GET /nodes/{node}/syslog': () => new Answer([{ n: 1, t: '-- No entries --' }], 1),
  'GET /nodes/{node}/hardware/pci': ({ world }) => world.host?.pci ?? [],
  'GET /nodes/{node}/apt/update': ({ world }) => world.host?.updates ?? [],
  'GET /nodes/{node}/apt/versions': ({ world }) => world.host?.packages ?? [],
  'GET /nodes/{node}/network': ({ world }) =>
    (world.bridges ?? ['vmbr0']).map((iface, i) => ({
      iface,
      type: 'bridge',
      active: 1,
      autostart: 1,
      method: 'manual',
      method6: 'manual',
      families: ['inet'],
      priority: i + 3,
      bridge_ports: '',
      bridge_stp: 'off',
      bridge_fd: '0',
    })),
  'GET /nodes/{node}/hosts': ({ world }) => ({ data: `127.0.0.1 localhost\n127.0.0.1 ${world.node}\n`, digest: '0'.repeat(40) }),
};
