import { describe, expect, test } from 'vitest';
import { driveLines, driveNotes, driveTable } from '#agent/cli/drive-lines';
import { inert, inertJson } from '#shared/inert';
import type { AdminDrive } from '#shared/wire/admin-disks';

const DRIVE: AdminDrive = {
  ...{ name: 'sdb', present: true, state: 'mounted', model: 'Portable SSD', serial: 'S1', wwn: '0x5000c500a1b2c3d4' },
  ...{ size_bytes: 1_000_204_886_016, transport: 'usb', bus_path: 'pci-0000:00:14.0-usb-2', class: 'fast', role: 'user-data' },
  reasons: [{ role: 'user-data', sentence: 'It carries a plain file system.', lasting: false }],
  owner: { vmid: 101, since: '2026-11-22T04:15:00.000Z', suspended: false },
  holders: [
    { kind: 'mount', sentence: 'It is mounted at /mnt/felhom/photos.', vmid: 101, pid: null },
    { kind: 'process', sentence: 'dd has it open.', vmid: null, pid: 7 },
  ],
  twins: ['sdc'],
  ...{ data_bearing: true, data_reason: 'It carries ext4 "Photos" (sdb1).', blank_read_fraction: null },
  filesystems: [
    {
      device: 'sdb1',
      fstype: 'ext4',
      uuid: 'AAAA-BBBB',
      label: 'Photos',
      size_bytes: 999,
      mount_path: '/mnt/felhom/photos',
      vmid: 101,
    },
    { device: 'sdb2', fstype: 'xfs', uuid: 'CCCC-DDDD', label: '', size_bytes: null, mount_path: '', vmid: null },
  ],
  links: ['/dev/disk/by-id/usb-Portable_SSD_S1-0:0'],
  durable_id: 'byid:user-data.Portable_SSD.S1.1000204886016.0123456789abcdefghjkmnpqrs',
  smart: {
    ...{
      health: 'PASSED',
      temperature_c: 31,
      percentage_used: 3,
      age_seconds: 720,
      reasons: ['It was asked through a USB bridge.'],
    },
    ...{ power_on_hours: 8123, standby: false },
  },
  ...{ first_seen_at: '2026-11-01T00:00:00.000Z', last_seen_at: '2026-11-22T00:00:00.000Z' },
};

test('one drive, with all that is known of it', () => {
  expect(driveLines(DRIVE)).toEqual([
    'sdb  Portable SSD  S1  1.0 TB',
    'state       mounted',
    'role        user-data',
    '            - It carries a plain file system.',
    'owner       guest 101, since 2026-11-22T04:15:00Z',
    'in use by   It is mounted at /mnt/felhom/photos.',
    '            dd has it open. (process 7)',
    'data        yes: It carries ext4 "Photos" (sdb1).',
    'holds       sdb1 ext4 "Photos" AAAA-BBBB 999 bytes, mounted at /mnt/felhom/photos for guest 101',
    '            sdb2 xfs CCCC-DDDD -',
    'health      PASSED: 31 °C, 3 % of its expected life used, powered on for 8123 h, asked 12 min ago',
    '            - It was asked through a USB bridge.',
    'connected   usb, pci-0000:00:14.0-usb-2',
    'wwn         0x5000c500a1b2c3d4',
    'class       fast',
    'also        cannot be told from sdc',
    'links       /dev/disk/by-id/usb-Portable_SSD_S1-0:0',
    'durable id  byid:user-data.Portable_SSD.S1.1000204886016.0123456789abcdefghjkmnpqrs',
    'seen        first 2026-11-01T00:00:00Z, last 2026-11-22T00:00:00Z',
  ]);
});

test('all of them as a table, and what has to be known before it is trusted', () => {
  const ghost: AdminDrive = {
    ...DRIVE,
    ...{
      name: 'sdq',
      state: 'unplugged',
      present: false,
      model: '',
      size_bytes: null,
      owner: { ...DRIVE.owner, vmid: 102, suspended: true, since: '' },
    },
    ...{ data_bearing: false, smart: { ...DRIVE.smart, health: 'UNKNOWN', standby: true } },
  };
  expect(driveTable([DRIVE, ghost])).toEqual([
    'NAME  SIZE    MODEL         SERIAL  ROLE       OWNER                  STATE      DATA   HEALTH',
    'sdb   1.0 TB  Portable SSD  S1      user-data  guest 101              mounted    yes    PASSED',
    'sdq   -       -             S1      user-data  guest 102 (suspended)  unplugged  blank  UNKNOWN (sleeps)',
  ]);
  const missing = [{ source: 'lvm', why: 'LVM: its program still hangs.' }];
  expect(
    driveNotes({ drives: [], missing, unmatched_protect: ['serial:X'], writes_off: 'It does not see swap.', age_seconds: 1 }),
  ).toEqual([
    'Not everything could be found out (lvm): LVM: its program still hangs.',
    'While that is so, every drive is taken for one that the host needs.',
    'No drive is changed: It does not see swap.',
    'disks.protect: serial:X matches no drive, plugged in or remembered.',
  ]);
  expect(driveNotes({ drives: [], missing: [], unmatched_protect: [], writes_off: '', age_seconds: 1 })).toEqual([]);
});

describe('nothing that a drive calls itself reaches the terminal as a command', () => {
  const evil = '\x1b]0;owned\x07\x9b31m\u202e\u2066\u200b\u2028\r\n\ud800\u{e0001}';

  test('in text', () => {
    expect(inert('a\x1b[31mé漢')).toBe('a\\u001b[31mé漢');
    expect(inert('\u{e0001}')).toBe('\\udb40\\udc01');
    const every = (value: unknown): unknown => {
      if (typeof value === 'string') return evil;
      if (Array.isArray(value)) return value.map(every);
      return typeof value === 'object' && value !== null
        ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, every(one)]))
        : value;
    };
    const { owner, first_seen_at, last_seen_at, role, state, smart, reasons } = DRIVE;
    const drive = { ...(every(DRIVE) as AdminDrive), owner, first_seen_at, last_seen_at, role, state };
    drive.smart = { ...smart, reasons: [evil] };
    drive.reasons = reasons.map((reason) => ({ ...reason, sentence: evil }));
    const notes = driveNotes({
      drives: [],
      missing: [{ source: 'x', why: evil }],
      unmatched_protect: [evil],
      writes_off: evil,
      age_seconds: 0,
    });
    for (const line of [...driveLines(drive), ...driveTable([drive]), ...notes]) expect(line).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
  });

  test('in JSON, which still says what it said', () => {
    const text = inertJson({ serial: evil });
    expect(text).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    expect(JSON.parse(text)).toEqual({ serial: evil });
  });
});
