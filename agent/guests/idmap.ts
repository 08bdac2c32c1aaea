/** Whom a guest's root is on the host. Pure. */
import { type GuestConfig, settingsIn } from './config-lines.ts';

export interface MappedRoot {
  uid: number;
  gid: number;
}

/** What Proxmox gives an unprivileged container that says nothing else (pve-container:src/PVE/LXC.pm, parse_id_maps). */
const UNPRIVILEGED: MappedRoot = { uid: 100_000, gid: 100_000 };
const SAME: MappedRoot = { uid: 0, gid: 0 };

/** `u 0 100000 65536`: users or groups, the first number inside, the first on the host, how many. lxc.container.conf(5) */
const ENTRY = /^([ug])\s+(\d+)\s+(\d+)\s+(\d+)$/;

/** Where number 0 of one kind lies on the host; null where no entry has it. */
const rootIn = (entries: readonly RegExpExecArray[], kind: 'u' | 'g'): number | null => {
  const found = entries.find(([, which, inside, , count]) => which === kind && Number(inside) === 0 && Number(count) > 0);
  return found === undefined ? null : Number(found[3]);
};

/**
 * A virtual machine's file systems are mounted inside it or shared as they are, so its root is root here too.
 * @returns null where the container's own map cannot be read or leaves root out: then nobody on the host is its root
 */
export const mappedRootOf = ({ type, text }: GuestConfig): MappedRoot | null => {
  if (type === 'qemu') return SAME;
  const settings = settingsIn(text);
  const maps = settings.flatMap(([key, value]) => (key === 'lxc.idmap' || key === 'lxc.id_map' ? [ENTRY.exec(value)] : []));
  if (maps.length === 0) return settings.some(([key, value]) => key === 'unprivileged' && value === '1') ? UNPRIVILEGED : SAME;
  const entries = maps.filter((entry) => entry !== null);
  if (entries.length < maps.length) return null;
  const [uid, gid] = [rootIn(entries, 'u'), rootIn(entries, 'g')];
  return uid === null || gid === null ? null : { uid, gid };
};
