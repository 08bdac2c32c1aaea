import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { documentIn } from '#agent/disks/smart/document';
import { smartReading, smartReadingIn } from '#agent/disks/smart/parse';
import { ASLEEP, recorded, recordings } from './fixtures.ts';

const UNTOLD = { temperature_c: null, percentage_used: null, power_on_hours: null, standby: false };

describe('recorded drives', () => {
  test.each([
    ['smart-ata.json', { health: 'PASSED', temperature_c: 32, percentage_used: null, power_on_hours: 1730, reasons: [] }],
    ['smart-ata-failed-scrutiny.json', { health: 'PASSED', temperature_c: 33, percentage_used: 2, power_on_hours: 19497 }],
    ['smart-nvme.json', { health: 'PASSED', temperature_c: 36, percentage_used: 0, power_on_hours: 2401, reasons: [] }],
    ['smart-nvme-failed.json', { health: 'PASSED', reasons: ['7 errors of its medium were not corrected.'] }],
    ['smart-scsi.json', { health: 'PASSED', temperature_c: 34, power_on_hours: 43549 }],
    ['smart-scsi2.json', { health: 'PASSED', temperature_c: 31, reasons: [] }],
    ['smart-megaraid0.json', { health: 'PASSED', temperature_c: 36, power_on_hours: 37787, reasons: [] }],
    ['vm-nvme0.json', { health: 'PASSED', temperature_c: 50, percentage_used: 0, power_on_hours: 0, reasons: [] }],
    ['vm-sdb.json', { health: 'PASSED', temperature_c: 31, power_on_hours: 1 }],
    // No verdict, but all the figures.
    ['smart-sat.json', { health: 'UNKNOWN', temperature_c: 29, power_on_hours: 2725 }],
    // A virtio drive on a SCSI controller: it answers 0 degrees.
    ['vm-sda.json', { health: 'UNKNOWN', ...UNTOLD, reasons: ['The drive has no SMART.'] }],
    ['vm-sdc.json', { health: 'UNKNOWN', ...UNTOLD, reasons: [expect.stringContaining('-d sat')] }],
    ['vm-vda.json', { health: 'UNKNOWN', ...UNTOLD, reasons: [expect.stringContaining('no SMART that smartctl can find')] }],
    ['host-loop.txt', { health: 'UNKNOWN', ...UNTOLD }],
    ['host-loop-as-sat.txt', { health: 'UNKNOWN', ...UNTOLD, reasons: [expect.stringContaining('could not be opened')] }],
    ['host-virtio.txt', { health: 'UNKNOWN', ...UNTOLD }],
    ['host-scan.txt', { health: 'UNKNOWN', ...UNTOLD }],
  ])('%s', (name, expected) => expect(smartReadingIn(recorded(name))).toMatchObject(expected));

  test('a failing SATA drive: every bit of the exit status is no reason to doubt its JSON', () =>
    expect(smartReadingIn(recorded('smart-fail2.json'))).toEqual({
      health: 'FAILING',
      temperature_c: 25,
      percentage_used: null,
      power_on_hours: 65592,
      standby: false,
      reasons: [
        'The drive itself reports that it is failing.',
        'An attribute that foretells failure has reached its limit: Reallocated_Sector_Ct is at 1, the limit is 5.',
        '1975 sectors went bad and were replaced by spare ones.',
        '8 sectors could not be read and wait to be replaced.',
        "The drive's error log has entries.",
        'A self-test of the drive has failed.',
      ],
    }));

  test('a failing NVMe drive', () =>
    expect(smartReadingIn(recorded('vm-nvme-failing.json'))).toMatchObject({
      health: 'FAILING',
      temperature_c: 50,
      reasons: ['The drive itself reports that it is failing.', 'It reports that its reliability is degraded by errors.'],
    }));

  test('nothing is FAILING but what failed', () =>
    expect(recordings().filter((name) => smartReadingIn(recorded(name)).health === 'FAILING')).toEqual([
      'smart-fail2.json',
      'vm-nvme-failing.json',
    ]));
});

const attribute = (facts: Record<string, unknown>) => ({
  smart_status: { passed: true },
  ata_smart_attributes: {
    table: [
      { id: 5, name: 'Reallocated_Sector_Ct', value: 100, thresh: 10, when_failed: '', flags: { prefailure: true }, ...facts },
    ],
  },
});
const message = (string: string, exit_status = 1) => ({ smartctl: { exit_status, messages: [{ string, severity: 'error' }] } });

describe('health', () => {
  test.each([
    ['the exit status alone says DISK FAILING', { smartctl: { exit_status: 8 } }, 'FAILING'],
    ['… although the drive says that it passed', { smartctl: { exit_status: 8 }, smart_status: { passed: true } }, 'FAILING'],
    [
      'the exit status tells of a prefail attribute',
      { smartctl: { exit_status: 16 }, smart_status: { passed: true } },
      'FAILING',
    ],
    ['a prefail attribute failed now', attribute({ value: 9, when_failed: 'now' }), 'FAILING'],
    ['… and smartctl did not write when', attribute({ value: 9, when_failed: undefined }), 'FAILING'],
    ['an attribute of age failed now', attribute({ when_failed: 'now', flags: { prefailure: false } }), 'PASSED'],
    ['a prefail attribute failed once', attribute({ when_failed: 'past' }), 'PASSED'],
    ['a threshold of 0', attribute({ value: 0, thresh: 0, when_failed: undefined }), 'PASSED'],
    ['bits of logs and of the past', { smartctl: { exit_status: 32 + 64 + 128 }, smart_status: { passed: true } }, 'PASSED'],
    ['a command failed, but not that of the verdict', { smartctl: { exit_status: 4 }, smart_status: { passed: true } }, 'PASSED'],
    ['a critical warning', { smart_status: { passed: true, nvme: { media_read_only: true } } }, 'FAILING'],
    ['a critical warning that has no name yet', { nvme_smart_health_information_log: { critical_warning: 128 } }, 'FAILING'],
    ['no verdict', { smartctl: { exit_status: 0 } }, 'UNKNOWN'],
    ['a verdict that is none', { smart_status: { passed: 'true' } }, 'UNKNOWN'],
    ['bad arguments, device not opened', { smartctl: { exit_status: 3 } }, 'UNKNOWN'],
    ['SMART switched off', { smart_support: { available: true, enabled: false }, smart_status: null }, 'UNKNOWN'],
    ['an exit status that cannot be', { smartctl: { exit_status: 8.5 } }, 'UNKNOWN'],
  ])('%s', (_what, document, health) => {
    const reading = smartReading(document);
    expect(reading.health).toBe(health);
    expect(reading.reasons.length > 0 || health === 'PASSED').toBe(true);
  });

  test.each([
    ['STANDBY', message('Device is in STANDBY mode, exit(2)', 2)],
    ['SLEEP', message('Device is in SLEEP mode, exit(2)', 2)],
    ['put there by the kernel', message('/dev/sda: Device is in STANDBY (OS) mode, exit(2)', 2)],
    ['SAS', message('Device is in STANDBY BY COMMAND mode, exit(2)', 2)],
  ])('a drive asleep (%s) was not asked', (_how, document) =>
    expect(smartReading(document)).toEqual({
      health: 'UNKNOWN',
      ...UNTOLD,
      standby: true,
      reasons: ['The drive sleeps and was not woken.'],
    }),
  );

  test('exit status 2 alone is not sleep', () => expect(smartReading({ smartctl: { exit_status: 2 } }).standby).toBe(false));

  test.each([
    ['a RAID controller', message("/dev/sda: DELL or MegaRaid controller, please try adding '-d megaraid,N'"), 'RAID controller'],
    ['SMART off', { smart_support: { available: true, enabled: false } }, 'smartctl -s on'],
    ['a drive that cannot tell whether it sleeps', message('CHECK POWER MODE not implemented, exit(3)', 3), 'cannot tell'],
    ['nothing at all', undefined, 'no answer'],
    ['a list', [], 'no answer'],
  ])('%s is named', (_what, document, words) => expect(smartReading(document).reasons[0]).toContain(words));
});

describe('facts that do not make a drive FAILING', () => {
  test.each([
    [attribute({ raw: { string: '3' } }), '3 sectors went bad and were replaced by spare ones.'],
    [attribute({ name: 'Current_Pending_Sector', raw: { string: '1' } }), '1 sector could not be read and waits to be replaced.'],
    [
      attribute({ name: 'Offline_Uncorrectable', raw: { value: 2 } }),
      "2 sectors could not be corrected by the drive's own scan.",
    ],
    [attribute({ name: 'Reported_Uncorrect', raw: { value: 2 } }), '2 errors could not be corrected.'],
    [attribute({ when_failed: 'past' }), 'Reallocated_Sector_Ct was at its limit once.'],
    [{ smartctl: { exit_status: 32 } }, 'An attribute of the drive was at its limit once.'],
    [
      { nvme_smart_health_information_log: { available_spare: 5, available_spare_threshold: 10 } },
      '5 % of its spare blocks are left, 10 % should be.',
    ],
    [{ nvme_smart_health_information_log: { percentage_used: 104 } }, 'It has written all that it was built for (104 % used).'],
    [{ temperature: { current: 70, drive_trip: 68 } }, 'It is 70 °C hot, its limit is 68 °C.'],
    [{ scsi_error_counter_log: { read: { total_uncorrected_errors: 1 } } }, '1 error could not be corrected.'],
  ])('%#: %s', (document, sentence) => {
    const reading = smartReading({ smart_status: { passed: true }, ...document });
    expect(reading).toMatchObject({ health: 'PASSED', reasons: [sentence] });
  });

  test('an attribute of the same number that counts something else is not taken for bad sectors', () =>
    expect(smartReading(attribute({ id: 197, name: 'Total_Unc_Read_Failures', raw: { string: '9' } })).reasons).toEqual([]));
});

const wearing = (name: string, value: number, more = {}) => ({ ...attribute({ name, value, when_failed: '' }), ...more });
const statistics = (value: number, valid: boolean) => ({
  ata_device_statistics: {
    pages: [{ number: 7, table: [{ name: 'Percentage Used Endurance Indicator', value, flags: { valid } }] }],
  },
});

describe('percentage used', () => {
  test.each([
    ['NVMe', { nvme_smart_health_information_log: { percentage_used: 7 } }, 7],
    ['NVMe beyond its life', { nvme_smart_health_information_log: { percentage_used: 255 } }, 255],
    ['SAS', { scsi_percentage_used_endurance_indicator: 11 }, 11],
    ['ATA device statistics', statistics(12, true), 12],
    ['ATA device statistics that are not valid', statistics(12, false), null],
    ['device statistics before an attribute', wearing('Wear_Leveling_Count', 50, statistics(12, true)), 12],
    ['newer smartctl', { endurance_used: { current_percent: 9 } }, 9],
    ['Samsung', wearing('Wear_Leveling_Count', 98), 2],
    ['Intel', wearing('Media_Wearout_Indicator', 15), 85],
    ['Crucial', wearing('Percent_Lifetime_Remain', 91), 9],
    ['Micron', wearing('Ave_Block-Erase_Count', 88), 12],
    ['Kingston', wearing('SSD_Life_Left', 100), 0],
    ['a value that is no percentage', wearing('Wear_Leveling_Count', 200), null],
    ['a name unknown', wearing('Unknown_SSD_Attribute', 50), null],
    ['a spinning drive', wearing('Wear_Leveling_Count', 50, { rotation_rate: 7200 }), null],
    ['out of all bounds', { nvme_smart_health_information_log: { percentage_used: 1e9 } }, null],
  ])('%s', (_what, document, expected) => expect(smartReading(document).percentage_used).toBe(expected));
});

describe('text', () => {
  test('with lines before and after the document, and braces in its strings', () =>
    expect(smartReadingIn(`$ smartctl -j\n{"a": "}{\\"", "smart_status": {"passed": true}}\n\nrc=0\n`).health).toBe('PASSED'));

  test.each(['', 'no document', '{', '{"smart_status": {"passed": tr', 'null', '[]', '7', '"x"', '\0'])('%j is UNKNOWN', (text) =>
    expect(smartReadingIn(text)).toMatchObject({ health: 'UNKNOWN', ...UNTOLD, reasons: [expect.any(String)] }),
  );

  test("words of a drive's or a bridge's own cannot misread a terminal", () => {
    const [reason] = smartReading(message('\u001b[2J\u202eevil\u0000 serial')).reasons;
    expect(reason).toMatch(/^[\x20-\x7e]*$/);
    expect(reason).toContain('evil serial');
  });
});

/** As it goes over the wire, whatever came in. */
const isSound = (reading: ReturnType<typeof smartReading>) => {
  const { health, temperature_c, percentage_used, power_on_hours, standby, reasons, ...rest } = reading;
  expect(rest).toEqual({});
  expect(['PASSED', 'FAILING', 'UNKNOWN']).toContain(health);
  for (const figure of [temperature_c, percentage_used, power_on_hours])
    expect(figure === null || Number.isSafeInteger(figure)).toBe(true);
  expect(typeof standby).toBe('boolean');
  expect(reasons.every((one) => typeof one === 'string' && one !== '' && one.length < 500)).toBe(true);
  expect(reasons.length).toBeLessThanOrEqual(20);
  expect(reasons.length > 0 || health === 'PASSED').toBe(true);
};

const PARTS = recordings().map((name) => documentIn(recorded(name)));

/** Some member of a recorded document, at any depth, becomes something else. */
const mutate = (document: unknown, path: readonly number[], value: unknown): unknown => {
  const [step, ...rest] = path;
  if (step === undefined || typeof document !== 'object' || document === null) return value;
  const keys = Object.keys(document);
  const key = keys[step % Math.max(1, keys.length)];
  if (key === undefined) return value;
  const copy = structuredClone(document);
  Reflect.set(copy, key, mutate(Reflect.get(copy, key), rest, value));
  return copy;
};

describe('fuzz', () => {
  test('any JSON', () =>
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => isSound(smartReading(value))),
      { numRuns: 2000 },
    ));

  test('any text', () =>
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => isSound(smartReadingIn(text))),
      { numRuns: 1000 },
    ));

  test('recorded documents with something else in them', () =>
    fc.assert(
      fc.property(
        fc.constantFrom(...PARTS),
        fc.array(fc.nat(40), { minLength: 1, maxLength: 6 }),
        fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.double(), fc.constant(undefined), fc.bigInt()),
        (document, path, value) => isSound(smartReading(mutate(document, path, value))),
      ),
      { numRuns: 3000 },
    ));

  test('recorded texts, cut anywhere', () =>
    fc.assert(
      fc.property(fc.constantFrom(...recordings().map(recorded)), fc.nat(40_000), (text, length) =>
        isSound(smartReadingIn(text.slice(0, length))),
      ),
      { numRuns: 500 },
    ));

  test('a drive asleep stays so', () => isSound(smartReadingIn(ASLEEP)));
});
