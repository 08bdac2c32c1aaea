/** Names and numbers that identify things on the wire, each with its pattern. */
import { type Static, Type } from 'typebox';

/** Proxmox's guest number (pve-vmid). */
export const Vmid = Type.Integer({ minimum: 100, maximum: 999_999_999 });

/** The same in a path or a query. */
export const VmidText = Type.String({ pattern: '^[1-9][0-9]{2,8}$' });

/** SHA-256 of a certificate's DER, as 64 lower-case hex digits. */
export const Fingerprint = Type.String({ pattern: '^[0-9a-f]{64}$' });

/** `fht_<vmid>_<256 random bits, base64url>`. */
export const GuestToken = Type.String({ pattern: '^fht_[1-9][0-9]{2,8}_[A-Za-z0-9_-]{43}$' });

/** What a guest token may do. */
export const SCOPES = ['metrics', 'backup', 'disks:read', 'disks:manage'] as const;
export const Scope = Type.Union([
  Type.Literal('metrics'),
  Type.Literal('backup'),
  Type.Literal('disks:read'),
  Type.Literal('disks:manage'),
]);
export type Scope = (typeof SCOPES)[number];

/** Chosen by the client, so that a repeated request is the same request. */
export const RequestId = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,128}$' });

/** The scope that operator grants are bound to: `<name>-<100 random bits, base32>`. */
export const HostId = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$' });

/** RFC 3339 in UTC. */
export const Timestamp = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}(\\.\\d+)?Z$' });

/** Milliseconds since 1970 as an RFC 3339 time in UTC. */
export const timestamp = (ms: number): string => new Date(ms).toISOString();

/** A file system's UUID as blkid prints it: RFC 4122, or the short forms of FAT, exFAT and NTFS. */
export const FilesystemUuid = Type.String({ pattern: '^[0-9A-Fa-f][0-9A-Fa-f-]{3,63}$' });

export type HostId = Static<typeof HostId>;
