import { expect, test } from 'vitest';
import { notAsked } from '#agent/disks/smart/service';
import { type Remembered, remember, storageTargets, type TargetReadings } from '#agent/metrics/targets';
import type { StorageConfig, StorageResource } from '#agent/ports/proxmox';
import { storageConfig, storageResource } from '../fake-host.ts';

const fresh = <T>(value: T, ageMs = 0) => ({ value, ageMs, fresh: true });
const late = <T>(value: T | null, ageMs: number | null) => ({ value, ageMs, fresh: false, failure: new Error('late') });

const readings = (
  configs: StorageConfig[],
  storages: StorageResource[],
  changes: Partial<TargetReadings> = {},
): TargetReadings => ({
  node: 'pve1',
  nowMs: 1_000_000,
  storages: fresh(configs),
  resources: fresh({ guests: [], storages }),
  drives: null,
  smart: notAsked,
  thinPools: null,
  ...changes,
});

const NONE: Remembered = new Map();
const BEFORE: Remembered = new Map([['local', { totalBytes: 900, usedBytes: 90, atMs: 940_000 }]]);
const targets = (given: TargetReadings, before = NONE) => storageTargets(given, remember(before, given));

const GONE = storageResource({ status: 'unknown', maxdisk: null, disk: null });
const OTHER = storageResource({ storage: 'other' });
const UNKNOWN = {
  total_bytes: null,
  used_bytes: null,
  avail_bytes: null,
  used_fraction: null,
  age_seconds: null,
  reachable: false,
};
const LAST = { total_bytes: 900, used_bytes: 90, avail_bytes: 810, used_fraction: 0.1, age_seconds: 60, reachable: false };

test.each([
  [
    'reported',
    readings([storageConfig({})], [storageResource({})]),
    NONE,
    { state: 'active', reachable: true, total_bytes: 1000, age_seconds: 0 },
  ],
  ['not reported, while another is', readings([storageConfig({})], [GONE, OTHER]), NONE, { state: 'inactive', ...UNKNOWN }],
  [
    'not reported any more, while another is',
    readings([storageConfig({})], [GONE, OTHER]),
    BEFORE,
    { state: 'inactive', ...LAST },
  ],
  ['nothing is reported: pvestatd is held up', readings([storageConfig({})], [GONE]), BEFORE, { state: 'stale', ...LAST }],
  ['nothing was ever reported', readings([storageConfig({})], [GONE]), NONE, { state: 'unknown', ...UNKNOWN }],
  ['not in the resources at all', readings([storageConfig({})], []), NONE, { state: 'unknown', ...UNKNOWN }],
  ['disabled, whatever was known', readings([storageConfig({ disabled: true })], []), BEFORE, { state: 'disabled', ...UNKNOWN }],
])('a storage that is %s', (_what, given, before, expected) =>
  expect(targets(given, before)[0]).toMatchObject({ name: 'local', ...expected }),
);

test('with Proxmox down the last known ones are stale, never active', () => {
  const given = readings([], [], {
    storages: late([storageConfig({})], 60_000),
    resources: late({ guests: [], storages: [storageResource({})] }, 60_000),
  });
  expect(targets(given)).toEqual([
    expect.objectContaining({ state: 'stale', reachable: false, total_bytes: 1000, age_seconds: 60 }),
  ]);
});

test('without any configuration the reported ones are listed', () => {
  const given = readings([], [OTHER, storageResource({ node: 'pve2', storage: 'elsewhere' })], { storages: late(null, null) });
  expect(targets(given)).toEqual([expect.objectContaining({ name: 'other', state: 'active', mount_path: '', class_hint: '' })]);
});

test("another node's storages and figures are not this node's", () => {
  const configs = [storageConfig({ nodes: ['pve2'] }), storageConfig({ storage: 'nfs', type: 'nfs', nodes: ['pve2', 'pve1'] })];
  const given = readings(configs, [
    storageResource({ storage: 'nfs', node: 'pve2', maxdisk: 5 }),
    storageResource({ storage: 'nfs' }),
  ]);
  expect(targets(given)).toEqual([expect.objectContaining({ name: 'nfs', total_bytes: 1000 })]);
});

test('content is sorted, targets too', () => {
  const given = readings(
    [storageConfig({ storage: 'b', content: 'vztmpl,backup, iso,' }), storageConfig({ storage: 'a', content: '' })],
    [],
  );
  expect(targets(given).map(({ name, content }) => [name, content])).toEqual([
    ['a', ''],
    ['b', 'backup,iso,vztmpl'],
  ]);
});

test('figures of a storage that was removed are forgotten', () =>
  expect([...remember(BEFORE, readings([storageConfig({ storage: 'other' })], [])).keys()]).toEqual([]));
