/** The file systems a running container has mounted, reached from the host; every touch is a child process with a deadline. */

import { type Mount, parseMountinfo } from '#shared/mountinfo';
import { CommandError, type RunCommand } from './command.ts';
import type { GuestCgroup } from './guest-cgroup.ts';
import type { Proc } from './proc.ts';

export interface GuestMounts {
  /** As the container sees them, nothing touched; null when it does not run. */
  list(vmid: number): Promise<Mount[] | null>;
  /** Writes what one of its file systems has in memory to its drive; answers how many milliseconds that took. */
  sync(vmid: number, mountPoint: string, timeoutMs: number): Promise<number>;
  /** False for a file system that fails or hangs: a dead network share, a FUSE program that has ended. */
  answers(vmid: number, mountPoint: string): Promise<boolean>;
}

export interface GuestMountsPorts {
  cgroup: Pick<GuestCgroup, 'initPid'>;
  proc: Pick<Proc, 'mountinfoOf'>;
  run: RunCommand;
}

export const createGuestMounts = ({ cgroup, proc, run }: GuestMountsPorts): GuestMounts => {
  /** Through the init's root, which needs no entering of the container's namespaces (proc_pid_root(5)). */
  const hostPath = async (vmid: number, mountPoint: string): Promise<string> => {
    const pid = await cgroup.initPid(vmid);
    if (pid === null) throw new Error(`Guest ${vmid} does not run.`);
    return `/proc/${pid}/root${mountPoint}`;
  };

  const list = async (vmid: number): Promise<Mount[] | null> => {
    const pid = await cgroup.initPid(vmid);
    return pid === null ? null : parseMountinfo(await proc.mountinfoOf(pid));
  };

  const sync = async (vmid: number, mountPoint: string, timeoutMs: number): Promise<number> => {
    const path = await hostPath(vmid, mountPoint);
    const before = performance.now();
    await run('sync', ['-f', '--', path], timeoutMs);
    return performance.now() - before;
  };

  const answers = async (vmid: number, mountPoint: string): Promise<boolean> => {
    try {
      await run('stat', ['-f', '-c', '%S', '--', await hostPath(vmid, mountPoint)]);
      return true;
    } catch (error) {
      if (error instanceof CommandError && error.reason !== 'start') return false;
      throw error;
    }
  };

  return { list, sync, answers };
};
