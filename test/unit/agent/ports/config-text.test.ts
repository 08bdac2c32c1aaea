import { expect, test } from 'vitest';
import { parseBootUuids, parseCrypttab, parseFstab, parseMdadm } from '#agent/ports/config-text';

test('fstab: comments, blanks in names, quotes, missing options', () => {
  const text = [
    '# <file system> <mount point> <type> <options> <dump> <pass>',
    '/dev/pve/root / ext4 errors=remount-ro 0 1',
    'UUID="D0B1-3CC5"\t/boot/efi vfat defaults 0 1',
    '  LABEL=usb\\040disk /mnt/usb\\040disk auto noauto,nofail',
    '/dev/pve/swap none swap',
    '',
  ].join('\n');
  expect(parseFstab(text)).toEqual([
    { spec: '/dev/pve/root', point: '/', fstype: 'ext4', options: ['errors=remount-ro'] },
    { spec: 'UUID=D0B1-3CC5', point: '/boot/efi', fstype: 'vfat', options: ['defaults'] },
    { spec: 'LABEL=usb disk', point: '/mnt/usb disk', fstype: 'auto', options: ['noauto', 'nofail'] },
    { spec: '/dev/pve/swap', point: 'none', fstype: 'swap', options: ['defaults'] },
  ]);
  expect(() => parseFstab('UUID=x /mnt\n')).toThrow('/etc/fstab, line 1,');
});

test('crypttab', () => {
  expect(parseCrypttab('# name device key\nbackup UUID=ab-cd none luks,noauto\nplain /dev/sdb2\n')).toEqual([
    { name: 'backup', device: 'UUID=ab-cd' },
    { name: 'plain', device: '/dev/sdb2' },
  ]);
  expect(() => parseCrypttab('backup\n')).toThrow('/etc/crypttab, line 1,');
});

test('mdadm.conf: lines that go on, other keywords, ways to write a UUID', () => {
  const text = [
    'HOMEHOST <system>',
    'ARRAY /dev/md0 metadata=1.2 UUID=7a2b1c3d:4e5f6071:8293a4b5:c6d7e8f9 # UUID=1',
    'array /dev/md/1',
    '   name=host:1',
    '   uuid=00112233445566778899AABBCCDDEEFF',
    '#ARRAY /dev/md2 UUID=ffffffff:ffffffff:ffffffff:ffffffff',
    'ARRAY <ignore> devices=/dev/sda,/dev/sdb',
  ].join('\n');
  expect(parseMdadm(text, '/etc/mdadm.conf')).toEqual(['7a2b1c3d4e5f60718293a4b5c6d7e8f9', '00112233445566778899aabbccddeeff']);
  expect(() => parseMdadm('ARRAY /dev/md0 UUID=12', '/etc/mdadm.conf')).toThrow('/etc/mdadm.conf');
});

test("proxmox-boot-tool's list", () => {
  expect(parseBootUuids('# WARNING: managed\nD0B1-3CC5\nD0B1-9F00\n')).toEqual(['D0B1-3CC5', 'D0B1-9F00']);
  expect(() => parseBootUuids('../by-label/x\n')).toThrow('proxmox-boot-uuids');
});
