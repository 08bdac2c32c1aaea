/** What devices call themselves reaches pages, terminals and logs: nothing of it may be misread there (hazard 16, T26). */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { folded, plain } from '#agent/disks/inventory/plain';
import { host, look } from '../host.ts';

const BAD = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;

describe('plain', () => {
  test.each([
    ['a terminal’s colours', '\x1b[31mred\x1b[0m', '[31mred[0m'],
    ['a zero byte', 'a\0b', 'ab'],
    ['a line of its own', 'Disk\n-- MARK --\r\nroot', 'Disk -- MARK -- root'],
    ['text that runs backwards', 'gpj\u202egnp.exe', 'gpjgnp.exe'],
    ['isolates', '\u2066a\u2069', 'a'],
    ['a zero-width space', 'WD\u200bC', 'WDC'],
    ['a soft hyphen', 'WD\u00adC', 'WDC'],
    ['a filler of Hangul', 'A\u3164B', 'AB'],
    ['Braille’s blank', 'A\u2800B', 'AB'],
    ['half a pair', 'A\ud800B', 'AB'],
    ['bytes that are no text', 'A\ufffdB', 'AB'],
    ['a control character of the second block', 'A\u0085\u009bB', 'AB'],
    ['a pile of marks', `A${'\u0301'.repeat(50)}`, `A${'\u0301'.repeat(4)}`],
    ['blanks of all sorts', '\u00a0 My\u2003 \u3000Photos ', 'My Photos'],
    ['what people write', 'Zoë’s Fotos 日本 🎉', 'Zoë’s Fotos 日本 🎉'],
    ['a shell’s own', '`x`;$(y)|"z"', '`x`;$(y)|"z"'],
  ])('%s', (_what, text, expected) => {
    expect(plain(text)).toBe(expected);
  });

  test('is bounded, counted in what people see as one', () => {
    expect([...plain('🎉'.repeat(500))]).toHaveLength(128);
    expect(plain(`${'\u200b'.repeat(100_000)}x`)).toBe('');
    expect(plain('abc', 2)).toBe('ab');
  });

  test('of any text whatever, and again of its own result', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), fc.integer({ min: 1, max: 200 }), (text, length) => {
        const shown = plain(text, length);
        expect(shown).not.toMatch(BAD);
        expect([...shown].length).toBeLessThanOrEqual(length);
        expect(plain(shown, length)).toBe(shown);
        expect(folded(folded(text))).toBe(folded(text));
      }),
      { numRuns: 2000 },
    );
  });
});

/** Every text of an inventory, wherever it stands. The device is the kernel's own and goes nowhere as it is. */
const textsIn = (value: unknown): string[] => {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => (key === 'device' && typeof one === 'object' ? [] : textsIn(one)));
};

test('no text of a device, a guest, a storage or a mount gets into an inventory as it is', () => {
  const nasty = fc
    .array(fc.constantFrom('\x1b[2J', '\u202e', '\0', '\n', '\u200b', '\u009b', '\ud800', 'x', '$(y)', '\u2028', '🎉'), {
      minLength: 1,
      maxLength: 30,
    })
    .map((parts) => parts.join(''));
  const long = nasty.map((text) => text.repeat(500));
  fc.assert(
    fc.property(fc.oneof(nasty, long), (text) => {
      const { inventory } = look(
        host({
          drives: [
            {
              name: 'sdb',
              model: `M${text}`,
              serial: `S${text}`,
              wwn: `W${text}`,
              tableUuid: text,
              parts: [{ uuid: text, on: [{ type: 'ext4', uuid: `u${text}`, label: text }] }],
            },
            { name: 'sdc', on: [{ type: `odd${text}` }] },
            { name: 'sdd', parts: [{ on: [{ type: 'ext4', uuid: 'd' }] }] },
          ],
          mounts: [{ point: `/media/${text}`, from: 'sdd1' }],
          host: {
            crypttab: [{ name: text, device: 'UUID=d' }],
            datastores: [{ name: text, path: '/x', backingDevice: 'd' }],
            units: [{ file: text, what: '/dev/sdd1', where: `/a${text}` }],
          },
          storages: [{ type: 'dir', id: text, path: `/media/${text}` }],
          guests: { 105: `[${text.replaceAll('\n', '')}]\nscsi1: /dev/sdd` },
          lvm: [{ device: '/dev/sdd1', group: text }],
          layers: [{ name: 'dm-7', dm: { name: text, uuid: '' }, slaves: ['sdd1'] }],
        }),
        { protect: ['serial:S'] },
      );
      const texts = textsIn(inventory.drives);
      expect(texts.length).toBeGreaterThan(30);
      expect(texts.filter((one) => BAD.test(one) || one.includes('\n'))).toEqual([]);
      expect(texts.filter((one) => [...one].length > 520)).toEqual([]);
    }),
    { numRuns: 60 },
  );
});
