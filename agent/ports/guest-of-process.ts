/** Which guest a process belongs to, by the control groups that Proxmox makes. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Containers below `lxc/` (with their monitors below `lxc.monitor/`), as LXC itself names them, and QEMU (PVE/QemuServer.pm, qemu.slice). */
const GROUPS = [
  /^\/lxc(?:\.monitor)?\/(\d+)(?:\/|$)/,
  /^\/lxc\.(?:payload|monitor)\.(\d+)(?:\/|$)/,
  /^\/qemu\.slice\/(\d+)\.scope(?:\/|$)/,
];

/**
 * Null: it is the host's. Only the outermost group tells: below its own a guest may make groups of any name.
 * @param text of /proc/<pid>/cgroup, `0::/lxc/101/ns/init.scope`; cgroups(7)
 */
export const guestOfCgroup = (text: string): number | null => {
  for (const line of text.split('\n')) {
    const group = line.split(':').slice(2).join(':');
    for (const pattern of GROUPS) {
      const vmid = pattern.exec(group)?.[1];
      if (vmid !== undefined) return Number(vmid);
    }
  }
  return null;
};

/** Null: the host's, or it has ended. */
export type GuestOfProcess = (pid: number) => Promise<number | null>;

export const createGuestOfProcess =
  (proc = '/proc'): GuestOfProcess =>
  async (pid) =>
    guestOfCgroup(await readFile(join(proc, String(pid), 'cgroup'), 'utf8').catch(() => ''));
