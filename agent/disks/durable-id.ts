/** Durable ids: what a drive is called on the wire, and what its digest covers. */
import { createHash } from 'node:crypto';
import { driveDurableId } from '#shared/durable-id';
import { base32 } from '../trust/base32.ts';
import type { Drive } from './inventory/drive.ts';

/** Bits of the digest. */
const DIGEST_BYTES = 16;

/** Where on its drive a file system begins, in bytes: a name that no replug changes. */
const offsetOf = ({ device }: Drive, carrier: string): number | null =>
  carrier === device.name ? 0 : (device.partitions.find(({ name }) => name === carrier)?.startBytes ?? null);

/** All that stays as it is while the drive is used: no counters, no times, no kernel names. */
const stableIdentity = (drive: Drive): unknown => {
  const { model, serial, wwn, sizeBytes, busPath, tableUuid, keys } = drive.identity;
  const partitions = drive.device.partitions.map(({ startBytes, sizeBytes: bytes }) => [startBytes, bytes]);
  const filesystems = drive.filesystems.map(({ device, fstype, uuid, label }) => [offsetOf(drive, device), fstype, uuid, label]);
  return {
    model,
    serial,
    wwn,
    sizeBytes,
    busPath,
    tableUuid,
    keys: [...keys].sort(),
    partitions: inOrder(partitions),
    filesystems: inOrder(filesystems),
  };
};

const inOrder = (rows: readonly (readonly unknown[])[]): string[] => rows.map((row) => JSON.stringify(row)).sort();

const digestOf = (what: unknown): string =>
  base32(createHash('sha256').update(JSON.stringify(what)).digest().subarray(0, DIGEST_BYTES));

/** Of a whole drive, as listings show it. It never confirms anything: what is to be confirmed gets an id of its own. */
export const listedDurableId = (drive: Drive): string => {
  const { model, serial, sizeBytes } = drive.identity;
  return driveDurableId({
    role: drive.role,
    model,
    serial,
    sizeBytes,
    digest: digestOf(['listing', drive.role, stableIdentity(drive)]),
  });
};

/** What an id that permits something is bound to, beside the drive itself. */
export interface Binding {
  op: 'storage_wipe' | 'format';
  fstype: string;
  vmid: number;
  /** 128 bits, of the row that waits for the confirmation or the signature: no two ids are ever the same. */
  nonce: Uint8Array;
}

/** For the audit, and for whoever wonders why two ids differ. */
export const identityText = (drive: Drive): string => JSON.stringify(stableIdentity(drive));

/**
 * Of a confirmation or an operation; made anew from the drive as it is when it is used, and compared. A confirmation is for this plugging
 * in: another drive may look the same and have its place minutes later. A signature may take so long that the host was started anew.
 */
export const boundDurableId = (drive: Drive, { op, fstype, vmid, nonce }: Binding): string => {
  const { model, serial, sizeBytes } = drive.identity;
  const plugging = op === 'format' ? [drive.device.diskseq] : [];
  const covered = [op, drive.role, stableIdentity(drive), fstype, vmid, Buffer.from(nonce).toString('hex'), ...plugging];
  return driveDurableId({ role: drive.role, model, serial, sizeBytes, digest: digestOf(covered) });
};
