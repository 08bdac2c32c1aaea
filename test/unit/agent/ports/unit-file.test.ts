import { expect, test } from 'vitest';
import { unitsOf } from '#agent/ports/mount-units';
import { mountUnit, unescapePath } from '#agent/ports/unit-file';

const FACTS = { hostname: 'pve1.example.org', machineId: '0f1e2d3c', kernelRelease: '6.14.8-2-pve' };
const read = (file: string, text: string) => mountUnit(file, text, FACTS);

test.each([
  ['mnt-usb', '/mnt/usb'],
  ['-', '/'],
  ['mnt-a\\x2db', '/mnt/a-b'],
  ['mnt-caf\\xc3\\xa9', '/mnt/café'],
])('%s is %s', (name, path) => expect(unescapePath(name)).toBe(path));

test.each<[string, string, string, { what: string; where: string } | null]>([
  ['a mount', 'mnt-usb.mount', '[Mount]\nWhat=/dev/sdb1\nWhere=/mnt/usb\n', { what: '/dev/sdb1', where: '/mnt/usb' }],
  ['a swap', 'dev-sda3.swap', '[Swap]\nWhat=/dev/sda3\n', { what: '/dev/sda3', where: '' }],
  ['one that does not say where', 'srv-a\\x2db.mount', '[Mount]\nWhat=LABEL=x\n', { what: 'LABEL=x', where: '/srv/a-b' }],
  ['the last of several', 'a.mount', '[Mount]\nWhat=/dev/sda\nWhat = /dev/sdb \n', { what: '/dev/sdb', where: '/a' }],
  ['one in another section', 'a.mount', '[Unit]\nWhat=/dev/sda\n[Install]\nWhat=/dev/sdb\n', null],
  ['a reset', 'a.mount', '[Mount]\nWhat=/dev/sda\nWhat=\n', null],
  ['a line that goes on', 'a.mount', '[Mount]\nWhat=\\\n; a comment between\n  /dev/sdb\n', { what: '/dev/sdb', where: '/a' }],
  ['a comment', 'a.mount', '[Mount]\n#What=/dev/sda\n  ;What=/dev/sdb\n', null],
  ['a masked one', 'a.mount', '', null],
  [
    'specifiers',
    'mnt-x.mount',
    '[Mount]\nWhat=/dev/%l/%v/%m/%p/%%\nWhere=%f/%P/%S/%n\n',
    { what: '/dev/pve1/6.14.8-2-pve/0f1e2d3c/mnt-x/%', where: '/mnt/x/mnt/x//var/lib/mnt-x.mount' },
  ],
])('%s', (_what, file, text, found) => expect(read(file, text)).toEqual(found && { file, ...found }));

test.each(['%b', '%', '%i'])('%s is not guessed at', (specifier) => {
  expect(() => read('a.mount', `[Mount]\nWhat=/dev/${specifier}\n`)).toThrow('a.mount uses');
});

test('the units that felhom makes are its own, and nobody else is taken for it', () => {
  const match = { serial: 'S', wwn: '', sizeBytes: 1 };
  const spec = {
    mountPoint: '/mnt/felhom/a',
    link: 'x',
    uuid: 'ab-cd',
    fstype: 'ext4',
    options: 'nodev',
    guestPoint: '/mnt/felhom/.guests/101/a',
    match,
  } as const;
  const units = unitsOf(spec, true);
  expect(units.map(({ name, text }) => read(name, text))).toEqual([null, null]);
  const foreign = units[0].text.replace(/^# .*\n/, '# felhom: do not touch\n');
  expect(read('mnt-felhom-a.mount', foreign)).toMatchObject({ what: '/dev/felhom/x' });
});
