/** Where a drive is zeroed before a new table is made. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { extentsToClear } from '#agent/drive-format/extents';

const MIB = 1024 ** 2;
const GIB = 1024 * MIB;

const covers = (extents: readonly { at: number; bytes: number }[], from: number, to: number): boolean =>
  extents.some(({ at, bytes }) => at <= from && to <= at + bytes);

test('both ends of the drive and of each partition, each copy of a btrfs, and around each signature', () => {
  const size = 600 * GIB;
  const part = { at: 100 * GIB, bytes: 300 * GIB };
  const extents = extentsToClear(size, [part], [50 * GIB + 1080]);
  expect(extents).toEqual([
    { at: 0, bytes: 16 * MIB },
    { at: 64 * MIB, bytes: 65_536 },
    { at: 50 * GIB, bytes: 65_536 },
    { at: 100 * GIB, bytes: 4 * MIB },
    { at: 100 * GIB + 64 * MIB, bytes: 65_536 },
    { at: 256 * GIB, bytes: 65_536 },
    { at: 356 * GIB, bytes: 65_536 },
    { at: 400 * GIB - 4 * MIB, bytes: 4 * MIB },
    { at: 600 * GIB - 16 * MIB, bytes: 16 * MIB },
  ]);
});

test('in order, without overlaps, within the drive, whatever the sizes', () => {
  const place = fc.record({ at: fc.nat(2 * GIB), bytes: fc.integer({ min: 512, max: 2 * GIB }) });
  fc.assert(
    fc.property(fc.integer({ min: MIB, max: 2 * GIB }), fc.array(place), fc.array(fc.nat(2 * GIB)), (size, parts, signatures) => {
      const extents = extentsToClear(size, parts, signatures);
      let end = -1;
      for (const { at, bytes } of extents) {
        expect(at).toBeGreaterThan(end);
        expect(bytes).toBeGreaterThan(0);
        end = at + bytes;
      }
      expect(end).toBe(size);
      for (const offset of signatures.filter((one) => one < size)) expect(covers(extents, offset, offset + 1)).toBe(true);
      for (const { at } of parts.filter((one) => one.at < size)) expect(covers(extents, at, at + 1)).toBe(true);
    }),
  );
});
