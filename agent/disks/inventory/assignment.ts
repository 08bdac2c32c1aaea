/** A file system given to a guest: what the database keeps of it. Types only. */
import type { Filesystem } from '../../config.ts';

/** What a drive must be, beside carrying the file system's UUID, before its file system is mounted again. */
export interface DriveMatch {
  serial: string;
  wwn: string;
  sizeBytes: number | null;
}

export interface Assignment {
  /** On the host: `<mount_root>/<name>`. */
  mountPoint: string;
  vmid: number;
  /** Of the drive's record. */
  drive: number;
  uuid: string;
  fstype: Filesystem;
  /** As the agent built them. */
  options: string;
  /** Name of our own link below /dev/felhom. */
  link: string;
  match: DriveMatch;
  /** `assigning`, `ejecting`: written down before the first step, so that a crash in between is seen and undone or ended. */
  state: 'assigning' | 'assigned' | 'ejecting';
  createdAt: number;
}
