/** The configuration files that the demo, the tests and the bench give to the real programs. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { BACKUP_STORAGE, type DemoHost } from './host.ts';
import { guestMountinfo } from './quiesced.ts';

const writeSecret = (path: string, text: string): string => {
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
  return path;
};

export interface AgentFileOptions {
  dir: string;
  port: number;
  limits?: { requests_per_second: number; streams: number };
  backup?: Record<string, string>;
  /** Left out: no drive of this machine is ever given to a guest. */
  disks?: { mount_root: string; udev_dir?: string; loop_drives?: readonly string[]; guests?: readonly number[] };
}

/** `opsign.authorized_keys` of an agent whose files `writeAgentConfig` makes. */
export const keysFileIn = (dir: string): string => join(dir, 'agent', 'opsign.keys');

/** Writes `agent.yaml` and the token's file; answers the former's path. */
export const writeAgentConfig = ({ pve, token }: DemoHost, options: AgentFileOptions): string => {
  const { dir, port, limits, backup, disks = { mount_root: join(dir, 'mnt') } } = options;
  const agentDir = join(dir, 'agent');
  mkdirSync(agentDir, { recursive: true, mode: 0o700 });
  const config = {
    listen: [{ address: '127.0.0.1', port }],
    state_dir: join(agentDir, 'state'),
    runtime_dir: join(agentDir, 'run'),
    proxmox: {
      endpoint: pve.endpoint,
      token_file: writeSecret(join(agentDir, 'proxmox.token'), `${token}\n`),
      config_dir: pve.files.configDir,
      task_log_dir: pve.files.taskLogDir,
      lock_file: pve.files.lockFile,
    },
    // On a real host an hour lies between two backups; here you may ask as often as you like.
    backup: { storage: BACKUP_STORAGE, min_interval: '0s', ...backup },
    disks,
    opsign: { authorized_keys: keysFileIn(dir) },
    ...(limits ? { limits } : {}),
  };
  const path = join(agentDir, 'agent.yaml');
  writeFileSync(path, stringify(config));
  return path;
};

/** Where the guest's own files lie on this machine. */
const inGuest = (dir: string, vmid: number, path: string) => join(dir, 'guests', String(vmid), 'rootfs', path);

/** The demo's one application: a service that a file tells to stand still. */
export const notesApp = (dir: string, vmid: number) => {
  const data = inGuest(dir, vmid, 'srv/notes');
  mkdirSync(data, { recursive: true });
  const standStill = join(data, '.stand-still');
  return {
    name: 'notes',
    adapter: 'command',
    pre: { argv: ['/usr/bin/touch', standStill], timeout: '10s' },
    post: { argv: ['/bin/rm', '-f', standStill], timeout: '10s' },
    provides: 'app',
    data: [data],
  };
};

export interface GuestFileOptions {
  bootstrap: string;
  poll: string;
  /** Where felhom-quiesced listens. */
  quiesced: string;
}

/**
 * Writes `bootstrap.json` and `controller.yaml` into the guest, so that they are in its backups as well; its `/run` lies beside, as a
 * tmpfs would.
 */
export const writeGuestFiles = (dir: string, vmid: number, { bootstrap, poll, quiesced }: GuestFileOptions) => {
  const etc = inGuest(dir, vmid, 'etc/felhom');
  mkdirSync(etc, { recursive: true, mode: 0o700 });
  const beside = (name: string) => join(dir, 'guests', String(vmid), name);
  const controller = {
    bootstrap: writeSecret(join(etc, 'bootstrap.json'), bootstrap),
    quiesced,
    state_dir: inGuest(dir, vmid, 'var/lib/felhom-controller'),
    runtime_dir: beside('run'),
    mountinfo: beside('mountinfo'),
    poll,
  };
  writeFileSync(controller.mountinfo, guestMountinfo(inGuest(dir, vmid, '')));
  const config = join(etc, 'controller.yaml');
  writeFileSync(config, stringify(controller));
  return { config, bootstrap: controller.bootstrap };
};
