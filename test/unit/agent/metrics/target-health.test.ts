import { expect, test } from 'vitest';
import type { SmartState } from '#agent/disks/smart/service';
import { type HealthReadings, targetHealth, thinPoolOf } from '#agent/metrics/target-health';
import type { Drives } from '#agent/storage/class';
import { parseMountinfo } from '#shared/mountinfo';
import { storageConfig } from '../fake-host.ts';

const device = (name: string, slaves: string[] = []) => ({
  ...{ name, numbers: `8:${name.length}${slaves.length}`, rotational: false, usb: false, slaves, partitions: [], dm: null },
});

/** A directory storage on md0, which lies on as many drives as a test names. */
const on = (...drives: string[]): Drives => ({
  devices: [...drives.filter((name) => name !== 'gone').map((name) => device(name)), device('md0', drives)],
  mounts: parseMountinfo(`1 1 8:3${drives.length} / / rw - ext4 /dev/md0 rw`),
  btrfsMembers: [],
  links: {},
});

const state = (facts: Partial<SmartState>): SmartState => ({
  ...{ health: 'PASSED', temperature_c: 30, percentage_used: 1, power_on_hours: 5, standby: false, reasons: [], ageMs: 5_000 },
  ...facts,
});
const STATES: Readonly<Record<string, SmartState>> = {
  good: state({}),
  worn: state({ percentage_used: 90, temperature_c: 20, ageMs: 60_000 }),
  silent: state({ health: 'UNKNOWN', temperature_c: null, percentage_used: null, reasons: ['It says nothing.'], ageMs: null }),
  failing: state({ health: 'FAILING', temperature_c: 50, reasons: ['It is failing.'] }),
};

const health = (drives: Drives | null, config = storageConfig({})) => {
  const readings: HealthReadings = {
    drives,
    thinPools: null,
    smart: (name) => STATES[name] ?? state({ health: 'UNKNOWN', ageMs: null }),
  };
  return targetHealth(readings, config);
};

test.each([
  [['good'], { health: 'PASSED', temperature_c: 30, percentage_used: 1, age_seconds: 5, reasons: [] }],
  [['good', 'worn'], { health: 'PASSED', temperature_c: 30, percentage_used: 90, age_seconds: 60, reasons: [] }],
  [
    ['good', 'silent'],
    { health: 'UNKNOWN', temperature_c: 30, percentage_used: 1, age_seconds: null, reasons: ['silent: It says nothing.'] },
  ],
  [
    ['silent', 'failing', 'good'],
    { health: 'FAILING', temperature_c: 50, age_seconds: null, reasons: ['failing: It is failing.', 'silent: It says nothing.'] },
  ],
  [['failing'], { health: 'FAILING', reasons: ['It is failing.'] }],
  [['good', 'gone'], { health: 'UNKNOWN', reasons: ['others: Not all of its drives are known.'] }],
  [['gone'], { health: 'UNKNOWN', age_seconds: null, reasons: ['Which drives are behind it is not known.'] }],
])('on %j', (drives, expected) => expect(health(on(...drives))).toMatchObject(expected));

test('a network storage, and a host that could not be read', () => {
  expect(health(on('good'), storageConfig({ type: 'nfs' }))).toMatchObject({
    health: 'UNKNOWN',
    reasons: ['Its drives are not of this host.'],
  });
  expect(health(null)).toMatchObject({ health: 'UNKNOWN', reasons: ['The drives of this host could not be read.'] });
});

const thin = (keys: Record<string, string>) => storageConfig({ type: 'lvmthin', path: '', keys });
const POOL = { name: 'my--vg-data', dataFraction: 0.75, metadataFraction: 0.5, state: 'rw', needsCheck: false } as const;
const FAILED = { ...POOL, name: 'pve-data', dataFraction: null, metadataFraction: null, state: 'fail' } as const;
const UNTOLD = { data_used_fraction: null, metadata_used_fraction: null };

test.each([
  [
    'its pool',
    thin({ vgname: 'my-vg', thinpool: 'data' }),
    { thin_pool: { data_used_fraction: 0.75, metadata_used_fraction: 0.5 } },
  ],
  ['a pool that has failed', thin({ vgname: 'pve', thinpool: 'data' }), { thin_pool: UNTOLD }],
  ['a pool that is not there', thin({ vgname: 'pve', thinpool: 'other' }), { thin_pool: UNTOLD }],
  ['no pool', storageConfig({}), {}],
])('thin pool: %s', (_what, config, expected) =>
  expect(thinPoolOf({ drives: null, smart: () => state({}), thinPools: [POOL, FAILED] }, config)).toEqual(expected),
);

test('thin pools that could not be read are not told', () =>
  expect(thinPoolOf({ drives: null, smart: () => state({}), thinPools: null }, thin({}))).toEqual({ thin_pool: UNTOLD }));
