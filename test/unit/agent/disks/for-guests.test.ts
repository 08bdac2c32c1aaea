/** What guests read of the reasons for a drive's role: nothing of other guests, of the host's files, or of a program's own words. */
import { expect, test } from 'vitest';
import { findCandidate } from '#agent/disks/deeds/candidate';
import type { DriveRecord, Inventory } from '#agent/disks/inventory/drive';
import { inventoryOf } from '#agent/disks/inventory/inventory';
import { listingOf } from '#agent/disks/view';
import { contextOf, evidenceOf, type HostSpec, host, uuidOf } from './host.ts';
import { madeRecord } from './made.ts';

const CLAIMS = { guests: [101], enrolled: [101, 105], instances: new Map([[101, 'a']]) };
const HARDWARE = `serial:drive/s-sdb/${500e9}`;
const GIVEN = { role: 'system', why: 'It is given to guest 105 (scsi1).', since: 1 } as const;

/** What guest 101 is told of sdb, by a list and by a refusal. */
const read = (inventory: Inventory): { told: string; why: string | undefined } => {
  const { disks } = listingOf({
    ...{ vmid: 101, inventory, assignments: [], mounted: new Map() },
    ...{ claims: CLAIMS, filesystems: ['ext4'], writesOff: '', classOf: () => '' },
    healthOf: () => ({ health: 'UNKNOWN', temperature_c: null, percentage_used: null, reasons: [] }),
  });
  const refusal = (): string => {
    try {
      return findCandidate(inventory, uuidOf('sdb1'), 101).drive.name;
    } catch (error) {
      return String(error);
    }
  };
  return { told: `${JSON.stringify(disks)} ${refusal()}`, why: disks.find(({ name }) => name === 'sdb')?.not_assignable };
};

test.each<[string, Partial<HostSpec>, DriveRecord[], RegExp]>([
  ['given to a guest', { guests: { 105: 'scsi1: /dev/sdb' } }, [], /A guest has it|given to another guest/],
  ['given to a guest in a snapshot', { guests: { 105: '[vor-umzug]\nscsi1: /dev/sdb' } }, [], /A guest has it/],
  ['perhaps given to a guest', { guests: { 105: 'hostpci0: what' } }, [], /A guest has it/],
  ['given to a guest once', {}, [madeRecord({ keys: [HARDWARE], role: GIVEN })], /It was known as a system drive before\.$/],
  [
    'carrying the same as one that was given',
    {},
    [madeRecord({ keys: [`fs:${uuidOf('sdb1')}`], role: GIVEN }), madeRecord({ id: 2, keys: [HARDWARE] })],
    /It carries the same as a drive that was known as a system drive before\.$/,
  ],
  ['one that cannot be read', { probes: { sdb: 'failed' } }, [], /It could not be looked at\.$/],
  ['one that cannot be looked into', { looks: { sdb1: 'failed' } }, [], /could not be looked into\.$/],
])('of a drive %s', (_what, spec, records, wanted) => {
  const { told, why } = read(inventoryOf(evidenceOf(host({ drives: [{ name: 'sdb' }], ...spec })), contextOf({ records })));
  expect(why).toMatch(wanted);
  expect(told).not.toMatch(/105|scsi1|hostpci|vor-umzug|blkid|driver/);
});

test('while a source is missing', () => {
  const why = "Proxmox's configuration: nodes/pve1/qemu-server/105.conf, line 3, is not understood.";
  const evidence = { ...evidenceOf(host({ drives: [{ name: 'sdb' }] })), proxmox: { known: false as const, why } };
  const found = read(inventoryOf(evidence, contextOf()));
  expect(found.why).toBe("It cannot be determined what it is for: there is no whole answer from Proxmox's configuration.");
  expect(found.told).not.toMatch(/105|line 3/);
});
