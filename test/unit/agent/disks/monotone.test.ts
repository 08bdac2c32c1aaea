/**
 * Over random hosts: whatever is not told makes every drive at least as protected, and nothing that is added makes one less so. What is not
 * determined is never a customer's, what may hold data is never blank.
 */
import fc from 'fast-check';
import { describe, expect, test, vi } from 'vitest';
import type { DriveRecord, Inventory, Role } from '#agent/disks/inventory/drive';
import type { Evidence } from '#agent/disks/inventory/evidence';
import { type InventoryContext, inventoryOf } from '#agent/disks/inventory/inventory';
import { contextOf, type DriveSpec, evidenceOf, type HostSpec } from './host.ts';
import { madeRecord } from './made.ts';

vi.setConfig({ testTimeout: 120_000 });
const RUNS = { numRuns: Number(process.env.FELHOM_SOAK ? 1_000 : 50) };

const NAMES = ['sda', 'sdb', 'sdc', 'nvme0n1', 'vda'];
/** Few, so that drives share them. */
const uuid = fc.constantFrom('a1', 'b2', 'c3', 'd4', '');
const type = fc.constantFrom('ext4', 'xfs', 'btrfs', 'exfat', 'crypto_LUKS', 'LVM2_member', 'zfs_member', 'swap', 'odd');
const on = fc.record({ type, uuid });

const drive = (name: string): fc.Arbitrary<DriveSpec> =>
  fc
    .record({
      serial: fc.constantFrom('', 'S1', `S-${name}`),
      wwn: fc.constantFrom('', '', '0x1', '0x2'),
      tableUuid: uuid,
      parts: fc.array(fc.record({ uuid, on: fc.array(on, { maxLength: 1 }) }), { maxLength: 2 }),
      on: fc.array(on, { maxLength: 1 }),
      usb: fc.option(fc.constantFrom({ port: '1-1' }, { port: '1-2' }), { nil: undefined }),
      pci: fc.constantFrom(['0000:00:17.0'], ['0000:01:00.0']),
    })
    .map(({ usb, pci, ...spec }) => ({ name, ...spec, pci: [...pci], ...(usb === undefined ? {} : { usb }) }));

const devices = NAMES.flatMap((name) => [name, `${name}${/\d$/.test(name) ? 'p' : ''}1`]);
const device = fc.constantFrom(...devices);
const path = device.map((name) => `/dev/${name}`);
const spec = fc.oneof(
  path,
  uuid.map((one) => `UUID=${one}`),
  fc.constantFrom(...NAMES).map((name) => `/dev/disk/by-id/ata-Drive_S-${name}`),
);
const point = fc.constantFrom('/srv', '/mnt/usb', '/boot', '/media/x');
const line = fc.oneof(
  spec.map((one) => `scsi1: ${one}`),
  fc.constantFrom('hostpci0: 01:00', 'usb0: host=1-1', 'hostpci0: ?', 'lxc.cgroup2.devices.allow: b 8:16 rwm', '[snap]', 'what?'),
);

const hosts: fc.Arbitrary<HostSpec> = fc
  .tuple(
    fc.subarray(NAMES, { minLength: 1 }).chain((names) => fc.tuple(...names.map(drive))),
    fc.record({
      mounts: fc.array(fc.record({ point, from: device, host: fc.boolean() }), { maxLength: 2 }),
      swaps: fc.array(path, { maxLength: 1 }),
      lvm: fc.array(fc.record({ device: path, group: fc.constantFrom('pve', '') }), { maxLength: 1 }),
      zfs: fc.array(fc.record({ name: fc.constant('tank'), devices: fc.array(path, { maxLength: 2 }) }), { maxLength: 1 }),
      host: fc.record({
        fstab: fc.array(fc.record({ spec, point, fstype: fc.constant('ext4'), options: fc.constant([]) }), { maxLength: 1 }),
        crypttab: fc.array(fc.record({ name: fc.constant('v'), device: spec }), { maxLength: 1 }),
      }),
      storages: fc.array(fc.record({ path: point, content: fc.constantFrom('backup', 'images', 'iso,backup') }), {
        maxLength: 2,
      }),
      guests: fc.array(line, { maxLength: 2 }).map((lines) => ({ 105: lines.join('\n') })),
      looks: fc.dictionary(device, fc.constantFrom('vzdump' as const, 'chunks' as const), { maxKeys: 2 }),
    }),
  )
  .map(([drives, rest]) => ({ ...rest, drives }));

const key = fc.oneof(
  uuid.map((one) => `fs:${one || 'z'}`),
  uuid.map((one) => `part:${one || 'z'}`),
  fc.constantFrom('wwn:0x1', `serial:drive/s1/${500e9}`, `serial:drive/s-sdb/${500e9}`),
);
const records: fc.Arbitrary<DriveRecord[]> = fc
  .array(
    fc
      .record({
        keys: fc.uniqueArray(key, { minLength: 1, maxLength: 3 }),
        role: fc.constantFrom(
          null,
          { role: 'backup' as const, why: 'w', since: 1 },
          { role: 'system' as const, why: 'w', since: 1 },
        ),
        owner: fc.constantFrom(null, { vmid: 101, instance: 'i', since: 1 }),
      })
      .map((facts) => madeRecord(facts)),
    { maxLength: 3 },
  )
  .map((all) => all.map((one, index) => ({ ...one, id: index + 1 })));

const worlds = fc.record({ spec: hosts, records });

const WEIGHT: Record<Role, number> = { 'user-data': 0, backup: 1, system: 2 };
const conclude = (evidence: Evidence, context: Partial<InventoryContext>): Inventory => inventoryOf(evidence, contextOf(context));

/** Names of drives that the second inventory protects less than the first. */
const weakened = (before: Inventory, after: Inventory): string[] =>
  before.drives.flatMap(({ name, role }) => {
    const now = after.drives.find((one) => one.name === name);
    return now !== undefined && WEIGHT[now.role] < WEIGHT[role] ? [`${name}: ${role} became ${now.role}`] : [];
  });

const without = <V>(map: ReadonlyMap<string, V>, name: string): Map<string, V> => {
  const left = new Map(map);
  left.delete(name);
  return left;
};

/** Ways to know less, each of one drive or device. Not both of udev and of the probe of one: then nothing at all is known of what is on it. */
const LESS: Record<string, (evidence: Evidence, name: string) => Evidence> = {
  'no probe': (evidence, name) => ({ ...evidence, probes: without(evidence.probes, name) }),
  'a probe that failed': (evidence, name) => ({
    ...evidence,
    probes: new Map([...evidence.probes, [name, { known: false, why: 'x' }]]),
  }),
  'no look': (evidence, name) => ({ ...evidence, looks: without(evidence.looks, name) }),
  'a look that failed': (evidence, name) => ({
    ...evidence,
    looks: new Map([...evidence.looks, [name, { known: false, why: 'x' }]]),
  }),
  'udev not done': (evidence, name) => ({
    ...evidence,
    udev: evidence.udev.known ? { known: true, value: without(evidence.udev.value, name) } : evidence.udev,
  }),
  'no answer': (evidence, name) => ({ ...evidence, notAnswering: new Set([...evidence.notAnswering, name]) }),
};

test.each(Object.entries(LESS))('knowing less: %s', (_what, less) => {
  fc.assert(
    fc.property(worlds, device, ({ spec: one, records: known }, name) => {
      const evidence = evidenceOf(one);
      expect(weakened(conclude(evidence, { records: known }), conclude(less(evidence, name), { records: known }))).toEqual([]);
    }),
    RUNS,
  );
});

test('sources that are missing, any of them, make every drive system', () => {
  const sources = ['udev', 'mounts', 'swaps', 'lvm', 'zfs', 'md', 'btrfs', 'host', 'proxmox'] as const;
  fc.assert(
    fc.property(worlds, fc.subarray([...sources], { minLength: 1 }), ({ spec: one, records: known }, gone) => {
      const evidence = { ...evidenceOf(one), ...Object.fromEntries(gone.map((source) => [source, { known: false, why: 'x' }])) };
      const { drives, missing } = conclude(evidence, { records: known });
      expect(missing).toHaveLength(gone.length);
      expect(new Set(drives.map(({ role }) => role))).toEqual(new Set(['system']));
      // And none of that is written down for good.
      for (const { reasons } of drives)
        expect(reasons.filter(({ lasting, sentence }) => lasting && sentence.startsWith('It cannot be determined'))).toEqual([]);
    }),
    RUNS,
  );
});

/** What somebody could add to a host, or to what is known and ordered. */
const MORE: Record<string, (world: { spec: HostSpec; context: Partial<InventoryContext> }, name: string) => typeof world> = {
  'a mount': ({ spec: one, context }, from) => ({
    context,
    spec: { ...one, mounts: [...(one.mounts ?? []), { point: '/media/more', from }] },
  }),
  swap: ({ spec: one, context }, name) => ({ context, spec: { ...one, swaps: [...(one.swaps ?? []), `/dev/${name}`] } }),
  'a line in fstab': ({ spec: one, context }, name) => ({
    context,
    spec: {
      ...one,
      host: {
        ...one.host,
        fstab: [...(one.host?.fstab ?? []), { spec: `/dev/${name}`, point: '/media/more', fstype: 'ext4', options: [] }],
      },
    },
  }),
  'a locked volume': ({ spec: one, context }, name) => ({
    context,
    spec: { ...one, host: { ...one.host, crypttab: [...(one.host?.crypttab ?? []), { name: 'more', device: `/dev/${name}` }] } },
  }),
  'another guest': ({ spec: one, context }, name) => ({
    context,
    spec: { ...one, guests: { ...one.guests, 106: `scsi9: /dev/${name}` } },
  }),
  archives: ({ spec: one, context }, name) => ({ context, spec: { ...one, looks: { ...one.looks, [name]: 'vzdump' } } }),
  'an order of root’s': ({ spec: one, context }) => ({ spec: one, context: { ...context, protect: ['serial:S1', 'wwn:0x2'] } }),
  'a remembered role': ({ spec: one, context }) => ({
    spec: one,
    context: {
      ...context,
      records: (context.records ?? []).map((record) => ({
        ...record,
        role: record.role ?? { role: 'backup', why: 'w', since: 1 },
      })),
    },
  }),
};

/**
 * A drive that comes into a guest's hands says nothing of others any more (hazard 7): those that were protected only since it carries the
 * same may be free then. So of what another guest is given only the drive itself is watched.
 */
const watched = (what: string, before: Inventory, name: string): Inventory =>
  what === 'another guest' ? { ...before, drives: before.drives.filter((one) => name.startsWith(one.name)) } : before;

test.each(Object.entries(MORE))('knowing more: %s', (what, more) => {
  fc.assert(
    fc.property(worlds, device, ({ spec: one, records: known }, name) => {
      const world = { spec: one, context: { records: known } };
      const added = more(world, name);
      const before = conclude(evidenceOf(one), world.context);
      expect(weakened(watched(what, before, name), conclude(evidenceOf(added.spec), added.context))).toEqual([]);
    }),
    RUNS,
  );
});

describe('whatever a host is like', () => {
  test('a customer’s drive was wholly read, looked into, and is in no use; a blank one has nothing on it', () => {
    fc.assert(
      fc.property(worlds, ({ spec: one, records: known }) => {
        const evidence = evidenceOf(one);
        const blank = new Map(NAMES.map((name) => [name, { state: 'proved' as const }]));
        for (const { name, role, reasons, dataBearing, device: found, record } of conclude(evidence, { records: known, blank })
          .drives) {
          expect(reasons.length).toBeGreaterThan(0);
          expect(reasons[0]?.role).toBe(role);
          expect(reasons.filter(({ sentence }) => sentence === '')).toEqual([]);
          const probe = evidence.probes.get(name);
          const signatures = probe?.known ? probe.value.signatures : [];
          if (!dataBearing) expect([signatures, found.partitions]).toEqual([[], []]);
          if (role !== 'user-data') continue;
          expect(probe?.known).toBe(true);
          expect(signatures.filter((sign) => ['LVM2_member', 'zfs_member', 'swap', 'odd'].includes(sign.type))).toEqual([]);
          const archives = signatures.filter(
            (sign) => one.looks?.[sign.device] !== undefined && sign.type !== 'crypto_LUKS' && sign.type !== 'gpt',
          );
          if (record?.owner == null) expect(archives).toEqual([]);
        }
      }),
      RUNS,
    );
  });

  test('the same evidence gives the same inventory, in whatever order the drives come', () => {
    fc.assert(
      fc.property(hosts, records, (one, known) => {
        const evidence = evidenceOf(one);
        const turned: Evidence = {
          ...evidence,
          kernel: evidence.kernel.known ? { known: true, value: [...evidence.kernel.value].reverse() } : evidence.kernel,
        };
        const facts = (inventory: Inventory) =>
          inventory.drives.map(({ name, role, twins, record, dataBearing }) => [
            name,
            role,
            [...twins].sort(),
            record?.id,
            dataBearing,
          ]);
        expect(facts(conclude(turned, { records: known }))).toEqual(facts(conclude(evidence, { records: known })));
      }),
      RUNS,
    );
  });
});
