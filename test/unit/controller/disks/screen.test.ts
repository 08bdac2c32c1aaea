import { expect, test } from 'vitest';
import { hanging, table, wrapped } from '#controller/disks/lines';
import { isCertain, renderDisks } from '#controller/disks/screen';
import { signCommand } from '#controller/disks/sign';
import { inertJsonLines } from '#shared/inert';
import { backupDrive, disk, emptyLooking, listing, pendingOp } from './samples.ts';

const PHOTOS = disk({ state: 'mounted', mount_path: '/srv/drives/photos', guest_path: '/mnt/felhom/photos' });
const SYSTEM = disk({
  ...{ name: 'nvme0n1', role: 'system', owner: '', state: 'in-use', model: 'Samsung SSD 980 PRO 1TB', serial: 'S5GXNF0R123456A' },
  ...{ fstype: '', label: '', durable_id: 'byid:system.x.y.1.z', total_bytes: 1_000_204_886_016 },
  ...{
    role_reason: 'The host runs from it.',
    not_assignable: 'The host runs from it.',
    data_reason: 'It carries LVM2_member on nvme0n1p3.',
  },
});
const OTHERS = disk({
  ...{ name: 'sde', owner: 'not-yours', state: 'in-use', model: '', serial: '', fstype: '', label: '', durable_id: '' },
  ...{
    role_reason: "This drive is another guest's.",
    not_assignable: "This drive is another guest's.",
    data_reason: "This drive is another guest's.",
  },
});
const GONE = disk({
  ...{
    name: 'sdb',
    state: 'unplugged',
    serial: 'WD-GONE',
    fstype: '',
    label: '',
    durable_id: '',
    not_assignable: 'It is not plugged in now.',
  },
  ...{ data_reason: 'It is not plugged in now.', role_reason: 'It is not plugged in now.' },
});
const WHOLE = emptyLooking({
  name: 'sdf',
  not_assignable: 'Each of its file systems is listed by itself.',
  data_reason: 'It carries ext4 "one" on sdf1, xfs on sdf2.',
});
const PARTS = [
  disk({ name: 'sdf1', type: 'part', label: 'one', model: WHOLE.model, serial: WHOLE.serial }),
  disk({ name: 'sdf2', type: 'part', label: '', fstype: 'xfs', model: WHOLE.model, serial: WHOLE.serial }),
];
const BLANK = emptyLooking({
  name: 'sdg',
  serial: 'BLANK1',
  data_bearing: false,
  data_reason: 'It is empty: all of it was read, and all of it is zero.',
});
const ALL = [
  PHOTOS,
  disk({ name: 'sdh', label: 'films' }),
  emptyLooking(),
  BLANK,
  WHOLE,
  ...PARTS,
  GONE,
  backupDrive(),
  SYSTEM,
  OTHERS,
];

test('the list at 80 columns: what each is, whose, whether it can be used, and the next step', () => {
  const screen = renderDisks(listing(...ALL), 80);
  expect(screen).toMatchSnapshot();
  for (const line of screen.split('\n').filter((one) => !one.includes('next: '))) expect(line.length).toBeLessThanOrEqual(80);
});

test('a wide terminal needs no second lines in the table', () => {
  expect(
    renderDisks(listing(...ALL), 140)
      .split('\n')
      .slice(0, ALL.length + 1)
      .every((line) => !line.startsWith('   ')),
  ).toBe(true);
});

test('a list that is not certain, not complete or old says so', () => {
  const doubtful = { ...listing(PHOTOS), reason: 'Not everything could be found out (LVM).', age_seconds: 300 };
  expect(renderDisks(doubtful, 80)).toMatch(
    /Not everything could be found out \(LVM\)\.\nThe drives could not be looked at now: .* 5 minutes old\./,
  );
  expect([isCertain(doubtful), isCertain(listing(PHOTOS))]).toEqual([false, true]);
  expect(renderDisks(listing(), 80)).toMatch(/no drive that this guest could see/);
});

const HOSTILE = 'x";rm -rf /;`id`$(id)|\'\u001b[2J\u001b]0;t\u0007\u202egnp.exe\u2066\u200b\u061c\u0085\u0000\r\nsdz\u{e0041}';
const LIVELY = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/u;

test('T26: what drives call themselves moves no cursor and turns no line around, on the screen and as JSON', () => {
  const one = { model: HOSTILE, serial: HOSTILE, label: HOSTILE, fstype: HOSTILE, name: HOSTILE };
  const told = { data_reason: HOSTILE, role_reason: HOSTILE, not_assignable: HOSTILE, mount_path: `/m/${HOSTILE}` };
  const disks = [
    disk(one),
    disk({ ...one, ...told }),
    emptyLooking({ ...one, ...told }),
    backupDrive({ ...one, ...told }),
    disk({ ...one, type: 'part' }),
  ];
  for (const columns of [40, 80, 140]) {
    const screen = renderDisks({ ...listing(...disks), reason: HOSTILE }, columns);
    expect(screen.replaceAll('\n', '')).not.toMatch(LIVELY);
    // A name that is no plain word stands in no command.
    for (const line of screen.split('\n').filter((text) => /disks (assign|format)/.test(text))) expect(line).toContain('<drive>');
  }
  const json = inertJsonLines(listing(...disks));
  expect(json.replaceAll('\n', '')).not.toMatch(LIVELY);
  expect(JSON.parse(json)).toEqual(listing(...disks));
});

test('T26: the command to sign is made of words only', () => {
  expect(signCommand(pendingOp())).toMatch(
    /^felhom-opsign -op storage_wipe -host [A-Za-z0-9._:-]+ -durable-id byid:[A-Za-z0-9._:-]+$/,
  );
  for (const bad of [HOSTILE, 'a b', "a'b", 'a\n', '-x', '', '$(id)'])
    for (const change of [{ host_scope: bad }, { durable_id: bad }, { durable_id: `byid:${bad}` }].slice(
      0,
      bad === '' || bad === '-x' ? 2 : 3,
    ))
      expect(signCommand(pendingOp(change)), JSON.stringify(change)).toBeNull();
});

test('lines', () => {
  expect(wrapped('', 10)).toEqual(['']);
  expect(wrapped('one two three', 7)).toEqual(['one two', 'three']);
  expect(wrapped('abcdefghij kl', 4)).toEqual(['abcd', 'efgh', 'ij', 'kl']);
  expect(hanging('sdb: ', 'one two three four five six', 25)).toEqual(['sdb: one two three four', '     five six']);
  const rows = table(
    [
      ['A', 'WORDS'],
      ['abcdefghijklmnop', 'some words that are too many'],
    ],
    30,
  );
  expect(Math.max(...rows.map(({ length }) => length))).toBeLessThanOrEqual(30);
  expect(rows.join(' ').replace(/\s+/g, '')).toContain('abcdefgh');
});
