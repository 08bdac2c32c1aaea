import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { inTheWay, isGiven, lineFor, lockIn, shownBy, withLine, withoutLine } from '#agent/disks/in-guest/guest-line';
import { guestPlaces } from '#agent/disks/in-guest/guest-places';

const places = guestPlaces('/mnt/felhom');
const LINE = 'lxc.mount.entry: /mnt/felhom/.guests/101 mnt/felhom none rbind,ro,rslave,create=dir,optional 0 0';
const CONFIG = `#lxc.mount.entry: /mnt/felhom/.guests/105 is a description
arch: amd64
rootfs: local:101/subvol-101-disk-0.subvol,size=0T
unprivileged: 1
lxc.mount.entry: /srv/shared srv/shared none bind,create=dir 0 0

[pve:pending]
memory: 512

[before-update]
#of the snapshot
${LINE}
lxc.mount.entry: /mnt/felhom/.guests/105 mnt/felhom none rbind,rslave,create=dir 0 0
snaptime: 1795302115
`;
const given = withLine(CONFIG, places, 101);

test('the line, as LXC reads it', () => {
  expect(lineFor(places, 101)).toBe(LINE);
});

test('it goes to the end of what is in force, and every other byte stays', () => {
  expect(given).toBe(CONFIG.replace('\n\n[pve:pending]', `\n${LINE}\n\n[pve:pending]`));
});

test('once, and away again as if it had never been there', () => {
  expect(isGiven(CONFIG, places, 101)).toBe(false);
  expect(isGiven(given, places, 101)).toBe(true);
  expect(withLine(given, places, 101)).toBe(given);
  expect(withoutLine(given, places)).toBe(CONFIG);
});

test.each([
  ['with other options', 'lxc.mount.entry: /mnt/felhom/.guests/101 mnt/felhom none rbind,create=dir 0 0'],
  [
    'as LXC itself writes it',
    'lxc.mount.entry = /mnt/felhom/.guests/101 mnt/felhom none rbind,ro,rslave,create=dir,optional 0 0',
  ],
  ['elsewhere in the guest', 'lxc.mount.entry: /mnt/felhom/.guests/101 srv none rbind,ro,rslave,create=dir,optional 0 0'],
  ["another guest's, which a clone brings along", LINE.replace('101', '105')],
  ['a drive of another guest', 'lxc.mount.entry: /mnt/felhom/.guests/105/photos mnt/photos none bind,create=dir 0 0'],
])('one of ours that is %s gives way to the right one', (_what, line) => {
  const text = CONFIG.replace('unprivileged: 1\n', `unprivileged: 1\n${line}\n`);
  expect(isGiven(text, places, 101)).toBe(false);
  expect(withLine(text, places, 101)).toBe(given);
  expect(withoutLine(text, places)).toBe(CONFIG);
});

test.each([
  ['an empty file', '', `${LINE}\n`],
  ['a file whose last line has no end', 'arch: amd64', `arch: amd64\n${LINE}\n`],
  ['a section at once', '[a]\nb: 1\n', `${LINE}\n[a]\nb: 1\n`],
  ['blank lines at the end', 'arch: amd64\n\n\n', `arch: amd64\n${LINE}\n\n\n`],
])('%s', (_what, text, expected) => {
  expect(withLine(text, places, 101)).toBe(expected);
});

test('whose directories a configuration shows: only what is in force counts', () => {
  expect(shownBy(CONFIG, places)).toEqual([]);
  expect(shownBy(given, places)).toEqual([101]);
  expect(shownBy(`${LINE.replace('101', '105/photos')}\n${given}`, places)).toEqual([105, 101]);
  expect(shownBy(LINE.replace('.guests/101', '.guestsX/101'), places)).toEqual([]);
  expect(shownBy(LINE.replace('/mnt/felhom/.guests', '/mnt/other/.guests'), places)).toEqual([]);
});

test.each([
  ['mp0', 'mp0: local:vm-101-disk-1,mp=/mnt/felhom,size=8G'],
  ['mp3', 'mp3: /srv/x,mp=/mnt/felhom/photos/'],
  ['lxc.mount.entry', 'lxc.mount.entry: /srv/x mnt/felhom none bind 0 0'],
  ['lxc.mount.entry', 'lxc.mount.entry = /srv/x /mnt/felhom/x none bind 0 0'],
  ['', 'mp0: local:vm-101-disk-1,mp=/mnt,size=8G'],
  ['', 'mp0: local:vm-101-disk-1,mp=/mnt/felhomx,size=8G'],
  ['', LINE],
  ['', '[old]\nmp0: local:vm-101-disk-1,mp=/mnt/felhom,size=8G'],
])('in the way: %s', (key, line) => {
  expect(inTheWay(`arch: amd64\n${line}\n`, places)).toBe(key);
});

test("Proxmox's lock", () => {
  expect(lockIn('lock: backup\n')).toBe('backup');
  expect(lockIn('#lock: backup\n[old]\nlock: snapshot\n')).toBe('');
});

describe('whatever stands in the file', () => {
  const word = fc.string({
    unit: fc.constantFrom('a', '[', ']', '#', ':', ' ', '=', '\t', 'é', '\u0000', '\r', '/', ',', '%', '\\'),
  });
  const line = fc.oneof(
    word,
    word.map((text) => `#${text}`),
    fc
      .tuple(fc.constantFrom('memory', 'mp0', 'lxc.mount.entry', 'lxc.idmap', 'lock'), fc.constantFrom(': ', ' = ', ':'), word)
      .map((parts) => parts.join('')),
    fc.constantFrom(
      LINE,
      LINE.replace('101', '105'),
      LINE.replace(': ', ' = '),
      '[pve:pending]',
      '[snap]',
      '',
      '  ',
      `${LINE} `,
      `# ${LINE}`,
    ),
  );
  const text = fc.array(line, { maxLength: 14 }).map((lines) => lines.join('\n'));
  const ours = /^lxc\.mount\.entry(?::|\s*=)\s*\/mnt\/felhom\/\.guests\/[1-9]\d*[\s/]/;
  const split = (whole: string): [head: string[], tail: string[]] => {
    const lines = whole.split('\n');
    const at = lines.findIndex((one) => one.startsWith('['));
    return at === -1 ? [lines, []] : [lines.slice(0, at), lines.slice(at)];
  };

  test('the line is there once, before the first section; all else is as it was', () => {
    fc.assert(
      fc.property(text, (whole) => {
        const [head, tail] = split(whole);
        const [newHead, newTail] = split(withLine(whole, places, 101));
        expect(newHead.filter((one) => ours.test(one)).map((one) => one.trimEnd())).toEqual([LINE]);
        const others = (lines: string[]) => lines.filter((one) => !ours.test(one));
        expect(newTail).toEqual(tail);
        // The file may get an end of its last line, and no other line.
        const kept = others(newHead);
        if (kept.length > others(head).length && tail.length === 0) expect(kept.pop()).toBe('');
        expect(kept).toEqual(others(head));
      }),
      { numRuns: 3000 },
    );
  });

  test('twice changes nothing more, and taking it away leaves the rest', () => {
    fc.assert(
      fc.property(text, (whole) => {
        const once = withLine(whole, places, 101);
        expect(withLine(once, places, 101)).toBe(once);
        expect(isGiven(once, places, 101)).toBe(true);
        const bare = withoutLine(whole, places);
        expect([bare, `${bare}\n`]).toContain(withoutLine(once, places));
        expect(split(bare)[1]).toEqual(split(whole)[1]);
      }),
      { numRuns: 3000 },
    );
  });
});
