/** Run in a namespace or a sandbox of its own by evidence.test.ts: prints as JSON what the agent sees from there. */
import { createGather } from '#agent/disks/sources/gather';
import { createSelfTest } from '#agent/disks/sources/self-test';
import { systemClock } from '#agent/ports/clock';
import { runCommand } from '#agent/ports/command';
import { createHostFiles } from '#agent/ports/host-config';
import { createLvm } from '#agent/ports/lvm';
import { createProc } from '#agent/ports/proc';
import { createProxmoxFiles } from '#agent/ports/proxmox-files';
import { createSysfs } from '#agent/ports/sysfs';
import { createUdevDb } from '#agent/ports/udev-db';
import { createZpool } from '#agent/ports/zpool';

const [, , what, udevDir = '', configDir = '', ...loopDrives] = process.argv;
const clock = systemClock;
const proc = createProc();
const sysfs = createSysfs();
const udev = createUdevDb(udevDir);
const zpool = createZpool(runCommand);

const gather = async () => {
  const { gather: look } = createGather(
    {
      ...{ clock, proc, sysfs, udev, zpool, lvm: createLvm(runCommand) },
      hostFiles: createHostFiles({ clock }),
      proxmoxFiles: createProxmoxFiles(configDir),
      isAsleep: async () => false,
    },
    { loopDrives },
  );
  const began = performance.now();
  const [first] = await Promise.all([look(), look(), look()]);
  const ms = performance.now() - began;
  const again = performance.now();
  const { proxmox } = await look();
  const files = [1, 2, 3].map(() => proc.uptime());
  await Promise.all(files);
  return { mounts: first.mounts, proxmox: [first.proxmox, proxmox], ms, againMs: performance.now() - again };
};
const selfTest = () =>
  createSelfTest({ ...{ clock, proc, sysfs, udev, zpool, loopDrives }, run: runCommand, pid: process.pid }).run();

// The clock's timers keep no process alive, and a thread that hangs does not let one end.
const alive = setInterval(() => undefined, 1_000);
process.stdout.write(JSON.stringify(await (what === 'gather' ? gather() : selfTest())), () => {
  clearInterval(alive);
  process.kill(process.pid, 'SIGKILL');
});
