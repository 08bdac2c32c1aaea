/** The part of the composition by which drives show in guests. */
import type { AgentConfig } from './config.ts';
import { createGuestDirectories } from './disks/in-guest/in-guest.ts';
import { runCommand } from './ports/command.ts';
import { createFileLock } from './ports/file-lock.ts';
import { createGuestCgroup } from './ports/guest-cgroup.ts';
import { createGuestConfigFiles } from './ports/guest-config-file.ts';
import { createGuestMounts } from './ports/guest-mounts.ts';
import type { Journal } from './ports/journal.ts';
import { createMachineShares } from './ports/machine-share.ts';
import { PMXCFS } from './ports/pmxcfs.ts';
import type { Proc } from './ports/proc.ts';
import { createSharedDirectories } from './ports/shared-directory.ts';
import { systemdRuns } from './ports/systemd-mounts.ts';

export interface GuestDriveParts {
  config: Pick<AgentConfig, 'runtimeDir' | 'proxmox' | 'disks'>;
  /** Of this node. */
  node: string;
  proc: Proc;
  journal: Journal;
}

export const composeGuestDirectories = async ({ config, node, proc, journal }: GuestDriveParts) => {
  const { configDir } = config.proxmox;
  /** With a copy of Proxmox's files this is no host of its own: nothing of systemd's or of its locks is touched. */
  const isHost = configDir === PMXCFS;
  /** With drives that are files, neither: they are gone at the next boot. */
  const byUnits = (isHost || config.disks.loopDrives.length === 0) && (await systemdRuns());
  const cgroup = createGuestCgroup({ proc });
  const directories = createGuestDirectories({
    mountRoot: config.disks.mountRoot,
    configs: createGuestConfigFiles({
      configDir,
      withLock: createFileLock(),
      lockDir: isHost ? '/run/lock/lxc' : `${config.runtimeDir}/lock`,
    }),
    directories: createSharedDirectories({
      run: runCommand,
      proc,
      unitDir: byUnits ? '/etc/systemd/system' : null,
    }),
    machines: createMachineShares({ run: runCommand, node }),
    guests: createGuestMounts({ cgroup, proc, run: runCommand }),
    proc,
    journal,
  });
  return { directories, isHost, byUnits };
};
