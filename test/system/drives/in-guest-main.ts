/**
 * Run on a host with systemd by in-guest-nspawn.test.ts, in a mount namespace of its own as the agent's sandbox has one: does to one
 * guest's drives what the agent does, with its own ports, and ends.
 */
import { spawnSync } from 'node:child_process';
import { createGuestDirectories } from '#agent/disks/in-guest/in-guest';
import { runCommand } from '#agent/ports/command';
import type { MountSpec } from '#agent/ports/drive-mounts';
import { createFileLock } from '#agent/ports/file-lock';
import { createGuestConfigFiles } from '#agent/ports/guest-config-file';
import { createGuestMounts } from '#agent/ports/guest-mounts';
import { createMountDirectories } from '#agent/ports/immutable';
import { createProc } from '#agent/ports/proc';
import { createSharedDirectories } from '#agent/ports/shared-directory';
import { createSystemdMounts } from '#agent/ports/systemd-mounts';

const [, , verb = '', guest = '', name = '', device = ''] = process.argv;
const vmid = Number(guest);
const proc = createProc();
const mountRoot = '/mnt/felhom';
/** Here LXC may make no control groups, by which the agent knows a container's first process. */
const initPid = async (): Promise<number | null> => {
  const { stdout } = spawnSync('/usr/bin/lxc-info', ['-P', '/srv/lab/lxc', '-n', guest, '-p', '-H'], { encoding: 'utf8' });
  return Number(stdout) > 0 ? Number(stdout) : null;
};
const directories = createGuestDirectories({
  mountRoot,
  configs: createGuestConfigFiles({ configDir: '/srv/pve', withLock: createFileLock() }),
  directories: createSharedDirectories({ run: runCommand, proc, unitDir: '/etc/systemd/system' }),
  machines: { share: async () => undefined, unshare: async () => undefined },
  guests: createGuestMounts({ cgroup: { initPid }, proc, run: runCommand }),
  proc,
  journal: () => undefined,
});
const spec: MountSpec = {
  mountPoint: `${mountRoot}/${name}`,
  guestPoint: directories.pointFor(vmid, name),
  ...{ link: name, uuid: '', fstype: 'ext4', options: 'nosuid,nodev' },
  match: { serial: '', wwn: '', sizeBytes: null },
};
const mounts = createSystemdMounts({ run: runCommand, proc, specs: () => [spec] });
const points = createMountDirectories(runCommand);

const verbs: Record<string, () => Promise<unknown>> = {
  enrol: async () => {
    await directories.prepare(vmid);
    return directories.give(vmid);
  },
  prepare: () => directories.prepare(vmid),
  connect: async () => {
    for (const point of [spec.mountPoint, spec.guestPoint]) {
      await points.make(point);
      await points.protect(point, async () => true);
    }
    await mounts.keep(spec);
    await mounts.mount(spec, device);
    await mounts.show(spec);
    return directories.shown(vmid, name);
  },
  shown: () => directories.shown(vmid, name),
  disconnect: async () => {
    await mounts.unmount(spec);
    await mounts.drop(spec);
    for (const point of [spec.guestPoint, spec.mountPoint]) await points.remove(point);
  },
  takeBack: () => directories.takeBack(vmid),
};
process.stdout.write(JSON.stringify((await verbs[verb]?.()) ?? null));
