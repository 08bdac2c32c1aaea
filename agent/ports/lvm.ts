/** LVM's physical volumes, as pvs(8) lists them. */
import { NotUnderstood } from '../not-understood.ts';
import type { RunCommand } from './command.ts';

/** An LVM physical volume, as pvs(8) lists it. */
export interface PhysicalVolume {
  /** `/dev/sda3`. */
  device: string;
  uuid: string;
  /** Empty where it is in no group. */
  group: string;
  groupUuid: string;
  missing: boolean;
}

export interface Lvm {
  /**
   * Reads the labels of these devices (`/dev/sda3`) and of no other: without the list LVM would read every device of the host and wake those
   * that sleep. Also lists, as missing and without a device, what their groups lack. With no device it only proves that LVM answers.
   */
  physicalVolumes(devices: readonly string[]): Promise<PhysicalVolume[]>;
}

const FIELDS = ['pv_name', 'pv_uuid', 'vg_name', 'vg_uuid', 'pv_missing'] as const;

/** `--readonly` takes no lock and writes nothing, so that a hung lvcreate does not stop it; `--devices` overrides every filter (lvm(8)). */
const ARGS = ['--readonly', '--reportformat', 'json', '-o', FIELDS.join(','), '--devices'];

type Json = Record<string, unknown>;
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});

/** What LVM writes where the device of a volume is not there. */
const NO_DEVICE = '[unknown]';

const volume = (row: unknown): PhysicalVolume => {
  const [device, uuid, group, groupUuid, missing] = FIELDS.map((field) => record(row)[field]);
  if (typeof device !== 'string' || typeof uuid !== 'string' || typeof group !== 'string' || typeof groupUuid !== 'string')
    throw new NotUnderstood('it lists a volume that is not understood');
  return { device: device === NO_DEVICE ? '' : device, uuid, group, groupUuid, missing: device === NO_DEVICE || missing !== '' };
};

/** @throws NotUnderstood for anything but a whole report */
export const parsePvs = (text: string): PhysicalVolume[] => {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new NotUnderstood('its answer is not JSON');
  }
  const { report } = record(parsed);
  const [first, ...more] = Array.isArray(report) ? report : [];
  const { pv } = record(first);
  if (!Array.isArray(pv) || more.length > 0) throw new NotUnderstood('its answer has no list of volumes');
  return pv.map(volume);
};

export const createLvm = (run: RunCommand): Lvm => ({
  physicalVolumes: async (devices) => {
    if (devices.length > 0) return parsePvs(await run('pvs', [...ARGS, devices.join(',')]));
    await run('pvs', ['--version']);
    return [];
  },
});
