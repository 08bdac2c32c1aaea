/** What the device mapper calls a storage's thin pool. Pure. */
import type { StorageConfig } from '../ports/proxmox.ts';

/** A hyphen of a name is doubled. lvm2, dm_build_dm_name. */
export const thinPoolName = ({ keys }: Pick<StorageConfig, 'keys'>): string =>
  [keys.vgname ?? '', keys.thinpool ?? ''].map((name) => name.replaceAll('-', '--')).join('-');
