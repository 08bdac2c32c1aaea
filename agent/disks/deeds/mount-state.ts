/** How an assignment stands, by its two mounts and the kernel's devices alone: what is to be done about it. Pure. */
import type { Mount } from '#shared/mountinfo';
import type { MountSpec } from '../../ports/drive-mounts.ts';
import { deviceOf, isDead, mountAt, type Seen } from './mount-source.ts';

export type MountState =
  /** Both places show the same file system, which was looked at before. */
  | { kind: 'fine' }
  /** Its device has gone. */
  | { kind: 'dead' }
  | { kind: 'absent' }
  /** Mounted on the host, and not yet seen to be what is meant. `seen` is how it is called from then on. */
  | { kind: 'unverified'; seen: string }
  /** The guest's place shows nothing, or something else. */
  | { kind: 'hidden' };

/** The mount and the plugging in that it rests on: another mount, or another drive, is called differently. */
const identityOf = (mount: Mount, { devices }: Seen): string =>
  `${mount.id} ${mount.device} ${deviceOf(mount, devices)?.drive.diskseq ?? ''}`;

/** @param verified how the mount was called when it was last seen to be what is meant */
export const stateOf = ({ mountPoint, guestPoint }: MountSpec, seen: Seen, verified: string | undefined): MountState => {
  const host = mountAt(seen.mounts, mountPoint);
  const guest = mountAt(seen.mounts, guestPoint);
  if ([host, guest].some((mount) => mount !== undefined && isDead(mount, seen.devices))) return { kind: 'dead' };
  if (host === undefined) return { kind: 'absent' };
  const identity = identityOf(host, seen);
  if (identity !== verified) return { kind: 'unverified', seen: identity };
  return guest?.device === host.device ? { kind: 'fine' } : { kind: 'hidden' };
};
