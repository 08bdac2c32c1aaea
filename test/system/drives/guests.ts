/** Guests for tests with real drives: their configuration as Proxmox keeps it, their containers, and the agent's parts that join the two. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createGuestDirectories, type GuestDirectories } from '#agent/disks/in-guest/in-guest';
import { runCommand } from '#agent/ports/command';
import { createFileLock } from '#agent/ports/file-lock';
import { createGuestCgroup } from '#agent/ports/guest-cgroup';
import { createGuestConfigFiles, type GuestConfigFiles } from '#agent/ports/guest-config-file';
import { createGuestMounts } from '#agent/ports/guest-mounts';
import { createProc } from '#agent/ports/proc';
import { createSharedDirectories } from '#agent/ports/shared-directory';
import { type Container, containerGroups, leaveNoGroups, makeContainer } from '../../lxc/container.ts';
import { type Lab, outcome } from './lab.ts';

export interface Guests {
  mountRoot: string;
  configDir: string;
  configs: GuestConfigFiles;
  directories: GuestDirectories;
  /** A container with its configuration file; not started. */
  container(vmid: number, options?: { privileged?: true; more?: string }): Container;
  configOf(vmid: number): string;
  writeConfig(vmid: number, text: string): void;
  /** The agent's parts anew, as after its restart. */
  restarted(): GuestDirectories;
}

const configText = (vmid: number, privileged: boolean, more: string): string => `#guest ${vmid} of the lab
arch: amd64
hostname: ct${vmid}
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:${String(vmid % 100).padStart(2, '0')},ip=dhcp,type=veth
rootfs: local:${vmid}/subvol-${vmid}-disk-0.subvol,size=0T
${privileged ? '' : 'unprivileged: 1\n'}${more}
[before-update]
arch: amd64
snaptime: 1795302115
`;

/**
 * As systemd has all of the host (systemd(1)): what is unmounted goes from the mount namespaces too that others, such as tests beside
 * this one, began meanwhile as slaves. On a machine without systemd they would keep drives busy that nobody uses.
 */
const shareMounts = (directory: string): void => {
  for (const how of [['--bind', directory], ['--make-private'], ['--make-shared']])
    execFileSync('/usr/bin/mount', [...how, directory], { stdio: 'pipe' });
};

export const makeGuests = (lab: Lab): Guests => {
  // The containers' roots have to pass.
  chmodSync(lab.dir, 0o755);
  const mountRoot = join(lab.dir, 'felhom');
  mkdirSync(mountRoot, { mode: 0o755 });
  shareMounts(mountRoot);
  lab.undo(() => outcome('umount', '--lazy', mountRoot));
  const configDir = join(lab.dir, 'pve');
  const folder = join(configDir, 'nodes/pve1/lxc');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(configDir, 'nodes/pve1/qemu-server'));
  symlinkSync('nodes/pve1', join(configDir, 'local'));
  writeFileSync(join(configDir, '.version'), '{"version":1}');
  const configs = createGuestConfigFiles({ configDir, lockDir: join(lab.dir, 'lock'), withLock: createFileLock() });
  const containers: Container[] = [];
  lab.undo(leaveNoGroups);
  lab.undo(async () => {
    for (const container of containers) await container.stop();
  });

  const restarted = (): GuestDirectories => {
    const proc = createProc();
    const cgroup = createGuestCgroup({ proc, root: containerGroups() });
    return createGuestDirectories({
      mountRoot,
      configs,
      proc,
      directories: createSharedDirectories({ run: runCommand, proc, unitDir: null }),
      guests: createGuestMounts({ cgroup, proc, run: runCommand }),
      machines: {
        share: () => Promise.reject(new Error('there are no virtual machines here')),
        unshare: () => Promise.reject(new Error('there are no virtual machines here')),
      },
      journal: () => undefined,
    });
  };
  const file = (vmid: number): string => join(folder, `${vmid}.conf`);

  return {
    mountRoot,
    configDir,
    configs,
    directories: restarted(),
    restarted,
    configOf: (vmid) => readFileSync(file(vmid), 'utf8'),
    writeConfig: (vmid, text) => writeFileSync(file(vmid), text),
    container: (vmid, { privileged, more = '' } = {}) => {
      writeFileSync(file(vmid), configText(vmid, privileged === true, more));
      const made = makeContainer({ dir: lab.dir, config: file(vmid), vmid });
      containers.push(made);
      return made;
    },
  };
};
