import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DriveFacts, driveDurableId, durableWord, isDurableId, readDriveDurableId } from '#shared/durable-id';

const DIGEST = '7k2m9q4w8x1c5v3b6n0zhjdfgr';
const ID = `byid:backup.WDC_WD40.WD-1.4000787030016.${DIGEST}`;

/** 128 bits as base32: of the last character three. */
const digests = fc
  .tuple(
    fc.array(fc.constantFrom(...'0123456789abcdefghjkmnpqrstvwxyz'), { minLength: 25, maxLength: 25 }),
    fc.constantFrom(...'048cgmrw'),
  )
  .map(([most, last]) => [...most, last].join(''));

const drives: fc.Arbitrary<DriveFacts> = fc.record({
  role: fc.constantFrom('system', 'backup', 'user-data'),
  model: fc.string({ unit: 'binary', maxLength: 90 }),
  serial: fc.string({ unit: 'binary', maxLength: 90 }),
  sizeBytes: fc.option(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })),
  digest: digests,
});

describe("a drive's durable id", () => {
  test('says what was put in, model and serial as words', () => {
    fc.assert(
      fc.property(drives, (drive) => {
        const id = driveDurableId(drive);
        expect(isDurableId(id)).toBe(true);
        expect(readDriveDurableId(id)).toEqual({ ...drive, model: durableWord(drive.model), serial: durableWord(drive.serial) });
      }),
    );
  });

  test.each([
    ['another role', ID.replace('backup', 'Backup')],
    ['no role', ID.replace('backup.', '')],
    ['a file system', 'uuid:6f1d7f1e-0d6f-4a0e-9a55-3f6a5f0b7c11'],
    ['nothing', ''],
    ['an empty model', ID.replace('WDC_WD40', '')],
    ['a model that is too long', ID.replace('WDC_WD40', 'x'.repeat(61))],
    ['one word more', ID.replace('.WD-1', '.WD-1.more')],
    ['a size with a zero in front', ID.replace('.4000', '.04000')],
    ['a size that no drive has', ID.replace('4000787030016', '9'.repeat(16))],
    ['a size as hex', ID.replace('4000787030016', '0x10')],
    ['a negative size', ID.replace('4000787030016', '-1')],
    ['a digest that is too short', ID.slice(0, -1)],
    ['a digest that is too long', `${ID}0`],
    ['a letter that base32 has not', ID.replace('7k2m', '7i2m')],
    ['upper case', ID.replace('7k2m', '7K2M')],
    ['bits that no digest has', `${ID.slice(0, -1)}s`],
    ['an end of line', `${ID}\n`],
    ['something in front', ` ${ID}`],
    ['a letter that looks like another', ID.replace('WDC', 'W\u0044\u0421')],
  ])('%s is none', (_what, id) => {
    expect(readDriveDurableId(ID)).not.toBeNull();
    expect(readDriveDurableId(id)).toBeNull();
  });
});
