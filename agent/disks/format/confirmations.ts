/** What guests were asked to confirm: each for one drive as it was, one file system and one guest; for 15 minutes, once. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '#shared/clock';
import type { Filesystem } from '../../config.ts';
import type { BootTime } from '../../ports/boot-time.ts';
import type { Statement, Store } from '../../ports/store.ts';
import { boundDurableId, identityText } from '../durable-id.ts';
import type { Drive } from '../inventory/drive.ts';

export interface ConfirmationPorts {
  store: Pick<Store, 'all' | 'write'>;
  clock: Pick<Clock, 'now'>;
  boot: BootTime;
}

interface Asked {
  vmid: number;
  fstype: Filesystem;
}

export interface Confirmations {
  /** @returns the id that confirms; durable when it resolves */
  ask(drive: Drive, asked: Asked): Promise<string>;
  /** Whether this id was given to this guest for exactly this drive, as it is now, and may still be used. */
  holds(durableId: string, drive: Drive, asked: Asked): Promise<boolean>;
  /** To be written with what it permits. */
  use(durableId: string): Statement;
}

const VALID_MS = 15 * 60_000;
/** Afterwards they are only of the audit's interest. */
const KEEP_MS = 86_400_000;
/** Of one guest and one drive: whoever asks and asks does not fill the database. */
const MOST = 16;

interface Row {
  nonce: Uint8Array;
  boot_id: string;
  created_monotonic: number;
}

export const createConfirmations = ({ store, clock, boot }: ConfirmationPorts): Confirmations => {
  const isCurrent = ({ boot_id, created_monotonic }: Row): boolean => {
    const age = boot.ms() - created_monotonic;
    return boot_id === boot.bootId && age >= 0 && age <= VALID_MS;
  };

  return {
    ask: async (drive, { vmid, fstype }) => {
      const nonce = randomBytes(16);
      const id = boundDurableId(drive, { op: 'format', fstype, vmid, nonce });
      const record = drive.record?.id ?? 0;
      await store.write(
        { sql: 'DELETE FROM confirmations WHERE created_at < ?', values: [clock.now() - KEEP_MS] },
        {
          sql: `DELETE FROM confirmations WHERE vmid = ? AND drive = ? AND used_at IS NULL AND durable_id NOT IN
            (SELECT durable_id FROM confirmations WHERE vmid = ? AND drive = ? ORDER BY rowid DESC LIMIT ?)`,
          values: [vmid, record, vmid, record, MOST - 1],
        },
        {
          sql: 'INSERT INTO confirmations (durable_id, nonce, vmid, drive, fstype, identity, boot_id, created_monotonic, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
          values: [id, nonce, vmid, record, fstype, identityText(drive), boot.bootId, boot.ms(), clock.now()],
        },
      );
      return id;
    },

    holds: async (durableId, drive, { vmid, fstype }) => {
      const [row] = await store.all<Row>(
        'SELECT nonce, boot_id, created_monotonic FROM confirmations WHERE durable_id = ? AND vmid = ? AND drive = ? AND fstype = ? AND used_at IS NULL',
        [durableId, vmid, drive.record?.id ?? 0, fstype],
      );
      if (row === undefined || !isCurrent(row)) return false;
      return boundDurableId(drive, { op: 'format', fstype, vmid, nonce: row.nonce }) === durableId;
    },

    use: (durableId) => ({ sql: 'UPDATE confirmations SET used_at = ? WHERE durable_id = ?', values: [clock.now(), durableId] }),
  };
};
