/** The snapshot that the checks decide over, in the three steps in which it is read. */
import type { Space } from '#agent/ports/filesystem';
import type { PmxcfsView } from '#agent/ports/pmxcfs';
import type { GuestResource, Resources, StorageConfig, StorageResource } from '#agent/ports/proxmox';
import type { ThinPool } from '#agent/ports/thin-pools';
import type { Mount } from '#shared/mountinfo';
import type { Known } from './known.ts';
import type { Mode } from './verdict.ts';

/** First: whether Proxmox can be asked at all, and where the guest is. */
export interface Reach {
  vmid: number;
  node: string;
  cluster: Known<PmxcfsView>;
  resources: Known<Resources>;
  storages: Known<StorageConfig[]>;
}

/** Then: the guest's configuration, in which its lock stands. */
export interface Access {
  guest: GuestResource;
  config: Known<Readonly<Record<string, string>>>;
}

/** Where the archive would lie. */
export interface Target {
  /** As configured for felhom. */
  name: string;
  /** Of Proxmox; undefined: there is no such storage. */
  config: StorageConfig | undefined;
  /** pvestatd's figures of this node's storages. */
  reported: readonly StorageResource[];
  /** Where this directory was last seen mounted; '' where it was only ever seen on the root file system, or never. */
  remembered: Known<string>;
  mounts: Known<readonly Mount[]>;
  /** Null: a storage without a path on this host. */
  space: Known<Space> | null;
}

/** A running container's file systems, for a snapshot of it. */
export interface GuestMounts {
  /** Null: its first process is not there to ask. */
  mounts: Known<readonly Mount[] | null>;
  /** Mount points that did not answer. */
  dead: readonly string[];
}

/** Last: everything else, all at once. */
export interface Facts {
  guest: GuestResource;
  node: string;
  config: Readonly<Record<string, string>>;
  /** As vzdump will run. */
  mode: Mode;
  storages: readonly StorageConfig[];
  target: Target;
  /** Bytes of the newest archives. */
  recentSizes: Known<readonly number[]>;
  /** Null: none of the guest's volumes is thin. */
  pools: Known<readonly ThinPool[]> | null;
  nodeLockHeld: Known<boolean>;
  /** Null: not a snapshot of a running container. */
  inside: GuestMounts | null;
  /** Room for vzdump's temporary files; null: none are made. */
  spare: Known<Space> | null;
}
