/** A process tells by its control groups whose it is; only the outermost counts, for a guest names its own as it likes. */
import { expect, test } from 'vitest';
import { createGuestOfProcess, guestOfCgroup } from '#agent/ports/guest-of-process';

test.each([
  ['a container of Proxmox VE', '0::/lxc/101/ns/init.scope\n', 101],
  ['its monitor', '0::/lxc.monitor/101\n', 101],
  ['a container of LXC', '0::/lxc.payload.4711/system.slice/cron.service\n', 4711],
  ['its monitor there', '0::/lxc.monitor.4711\n', 4711],
  ['a machine', '0::/qemu.slice/102.scope\n', 102],
  ['control groups of the first version', '5:devices:/\n4:memory:/lxc/103/ns\n', 103],
  ['the host', '0::/system.slice/ssh.service\n', null],
  ['a service that calls itself a guest', '0::/system.slice/lxc/101\n', null],
  ['a guest that calls itself another', '0::/lxc/101/ns/qemu.slice/102.scope\n', 101],
  ['a container without a number', '0::/lxc.payload.web\n', null],
  ['nothing', '', null],
])('%s', (_what, text, vmid) => expect(guestOfCgroup(text)).toBe(vmid));

test('a process that is not there is nobody’s', async () => expect(await createGuestOfProcess('/nowhere')(1)).toBe(null));
