/**
 * Runs in the machine, and stands for Proxmox there: its API on loopback, its files beside it, two containers of which only the configuration is there. Writes
 * the agent's configuration, then stays. What it has no say in: the drives, their roles, and what is done to them; those are real.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { startPve } from '../../pve/server.ts';
import type { Guest, Storage, World } from '../../pve/world.ts';

const DIR = '/var/lib/felhom-vm';
const GIB = 1024 ** 3;

const storage = (name: string, type: string, config: Storage['config']): [string, Storage] => [
  name,
  {
    ...{ storage: name, type, config, active: true, hung: false, total: GIB, used: 0, avail: GIB },
    ...{ archives: [], volumes: [], snapshots: type === 'lvmthin' },
  },
];

const container = (vmid: number): [number, Guest] => [
  vmid,
  {
    ...{ vmid, type: 'lxc', snapshots: {}, status: 'running', paused: false, guestAgentRuns: false, directories: {} },
    config: {
      ...{ arch: 'amd64', hostname: `guest${vmid}`, memory: 512, ostype: 'debian', unprivileged: 1 },
      net0: `name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:${vmid - 90},type=veth`,
      rootfs: `local-lvm:vm-${vmid}-disk-0,size=2G`,
    },
  },
];

const USER = 'felhom@pve';

/** `labvg` is real (LVM-thin on the SCSI drive), so is the mount at /mnt/pve/sata-backup. */
const furnish = (world: World): void => {
  world.storages.clear();
  for (const [name, one] of [
    storage('local', 'dir', { path: '/var/lib/vz', content: 'iso,vztmpl' }),
    storage('local-lvm', 'lvmthin', { vgname: 'labvg', thinpool: 'data', content: 'images,rootdir' }),
    storage('sata-backup', 'dir', { path: '/mnt/pve/sata-backup', content: 'backup', is_mountpoint: 1 }),
    storage('nvme', 'dir', { path: '/mnt/pve/nvme', content: 'iso', is_mountpoint: 1 }),
  ])
    world.storages.set(name, one);
  for (const [vmid, guest] of [container(101), container(102)]) world.guests.set(vmid, guest);
  world.roles.set('FelhomAgent', ['VM.Audit', 'VM.Backup', 'Sys.Audit', 'Datastore.Audit']);
  world.roles.set('FelhomBackupStore', ['Datastore.Audit', 'Datastore.AllocateSpace', 'Datastore.Allocate']);
  world.users.set(USER, { userid: USER, enable: true, expire: 0, groups: [], extra: {}, tokens: {} });
  for (const [type, ugid] of [
    ['user', USER],
    ['token', `${USER}!${world.node}`],
  ] as const) {
    world.acl.push({ path: '/', roleid: 'FelhomAgent', type, ugid, propagate: true });
    world.acl.push({ path: '/storage/sata-backup', roleid: 'FelhomBackupStore', type, ugid, propagate: true });
  }
};

mkdirSync(DIR, { recursive: true });
const pve = await startPve({ dir: DIR, node: 'pve1', port: 8006, world: furnish });
const token = join(DIR, 'proxmox.token');
writeFileSync(token, `${pve.addToken(USER, 'pve1')}\n`, { mode: 0o600 });
const config = {
  // The address that QEMU's user network gives the machine; loopback beside it, for whoever is inside.
  listen: [{ address: '10.0.2.15', port: 8443 }],
  proxmox: {
    ...{ endpoint: pve.endpoint, token_file: token, config_dir: pve.files.configDir },
    ...{ task_log_dir: pve.files.taskLogDir, lock_file: pve.files.lockFile },
  },
  backup: { storage: 'sata-backup' },
  disks: { guests: [101] },
};
mkdirSync('/etc/felhom', { recursive: true });
writeFileSync('/etc/felhom/agent.yaml', stringify(config), { mode: 0o600 });
process.stdout.write('ready\n');
