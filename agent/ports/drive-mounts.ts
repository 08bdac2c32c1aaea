/** What brings an assigned file system to its two places, now and whenever its drive is there. Types only; two ports keep them. */
import type { Mount } from '#shared/mountinfo';

/** An assignment, as far as mounting it goes. Every string was checked or built by the agent; the ports escape them all the same. */
export interface MountSpec {
  /** On the host: `<mount_root>/<name>`. */
  mountPoint: string;
  /** The same file system a second time, in the directory that its guest is given: `<mount_root>/.guests/<vmid>/<name>`. */
  guestPoint: string;
  /** Name of our own link below /dev/felhom. */
  link: string;
  uuid: string;
  fstype: string;
  /** As the agent built them. */
  options: string;
  /** What udev must say of the drive (`ID_SERIAL`, `ID_WWN`), beside the file system's UUID, before the link is made; empty: nothing. */
  match: { serial: string; wwn: string; sizeBytes: number | null };
}

/** Everything rejects with what went wrong for the log (`CommandError` and its like); nothing here speaks to customers. */
export interface DriveMounts {
  /** The mounts of the namespace that this port mounts in. Touches no drive. */
  seen(): Promise<readonly Mount[]>;
  /** Sees to it that it comes back by itself: at boot and when its drive is plugged in. Changes nothing where that is so already. */
  keep(spec: MountSpec): Promise<void>;
  /** Takes away what `keep` made. Neither place is unmounted by it. */
  drop(spec: MountSpec): Promise<void>;
  /** At its place on the host, where it is not mounted yet. `device` (`/dev/sdb1`) was found just now to be what is meant. */
  mount(spec: MountSpec, device: string): Promise<void>;
  /** The second place, where it is not mounted yet. */
  show(spec: MountSpec): Promise<void>;
  /** Both places, the guest's first; rejects where somebody still uses it, and then one or both are still mounted. */
  unmount(spec: MountSpec): Promise<void>;
  /** Both places at once, whoever uses it: what is open stays open until it is closed, but no path leads there any more. */
  cutOff(spec: MountSpec): Promise<void>;
}
