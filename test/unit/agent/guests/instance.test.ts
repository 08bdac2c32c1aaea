import { expect, test } from 'vitest';
import { instanceOf, isSameInstance } from '#agent/guests/instance';

const CONTAINER = `#of the customer
arch: amd64
hostname: ct101
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:5F:6A:10,ip=dhcp,type=veth
net1: name=eth1,bridge=vmbr1,hwaddr=AA:24:11:5F:6A:10,type=veth
rootfs: local:101/subvol-101-disk-0.subvol,size=0T
unprivileged: 1

[before]
net0: name=eth0,bridge=vmbr0,hwaddr=BC:24:11:00:00:00,ip=dhcp,type=veth
`;
const MACHINE = `name: vm100
net0: virtio=BC:24:11:14:1F:60,bridge=vmbr0
smbios1: uuid=F419F618-4d87-427f-8207-9a57b89c4d4a,manufacturer=QQ==,base64=1
vmgenid: 22eb08c7-ebab-4450-bc0e-1085f16c087e
`;
const lxc = (text: string) => instanceOf({ type: 'lxc', text });
const qemu = (text: string) => instanceOf({ type: 'qemu', text });

test('a container is told by the addresses of its network cards, in whatever order', () => {
  expect(lxc(CONTAINER)).toBe('net:aa:24:11:5f:6a:10,bc:24:11:5f:6a:10');
});

test.each([
  [
    'memory, description, a snapshot',
    CONTAINER.replace('#of the customer', '#mine').replace('BC:24:11:00:00:00', 'BC:24:11:00:00:01'),
  ],
  ['the address of a card, not its spelling', CONTAINER.replace('BC:24:11:5F:6A:10', 'bc:24:11:5f:6a:10')],
  ['the root file system', CONTAINER.replace('local:101', 'local-zfs:101')],
])('the same container after a change of %s', (_what, text) => {
  expect(lxc(text)).toBe(lxc(CONTAINER));
});

test('another container that has its number', () => {
  const other = CONTAINER.replace('BC:24:11:5F:6A:10', 'BC:24:11:5F:6A:11').replace('AA:24:11:5F:6A:10', 'AA:24:11:5F:6A:11');
  expect(isSameInstance(lxc(other), lxc(CONTAINER))).toBe(false);
});

test('a container that gained, lost or changed one network card is the same', () => {
  const one = lxc(CONTAINER.replace(/net1.*\n/, ''));
  expect(isSameInstance(one, lxc(CONTAINER))).toBe(true);
  expect(isSameInstance(lxc(CONTAINER), one)).toBe(true);
  expect(isSameInstance(lxc(CONTAINER.replace('AA:24', 'AA:25')), lxc(CONTAINER))).toBe(true);
});

test('what tells nothing is the same as nothing, and only addresses are compared in part', () => {
  expect(isSameInstance('', '')).toBe(false);
  expect(isSameInstance('', lxc(CONTAINER))).toBe(false);
  expect(isSameInstance('rootfs:a,b', 'rootfs:a,c')).toBe(false);
  expect(isSameInstance('rootfs:a', 'rootfs:a')).toBe(true);
});

test('without a network card its root file system tells it', () => {
  expect(lxc('rootfs: local-lvm:vm-101-disk-0,size=8G\n')).toBe('rootfs:local-lvm:vm-101-disk-0');
  expect(lxc('rootfs: volume=local-lvm:vm-101-disk-0,size=8G\n')).toBe('rootfs:local-lvm:vm-101-disk-0');
  expect(lxc('arch: amd64\n')).toBe('');
});

test('a virtual machine is told by the UUID of its firmware, else by its generation', () => {
  expect(qemu(MACHINE)).toBe('smbios:f419f618-4d87-427f-8207-9a57b89c4d4a');
  expect(qemu(MACHINE.replace(/smbios1.*\n/, ''))).toBe('vmgenid:22eb08c7-ebab-4450-bc0e-1085f16c087e');
  expect(qemu('vmgenid: 1\n')).toBe('');
  expect(qemu(`${MACHINE.replace(/(smbios1|vmgenid).*\n/g, '')}[old]\nsmbios1: uuid=aaaa\n`)).toBe('');
});
