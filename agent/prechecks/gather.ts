/** Takes the readings that the checks decide over. Nothing here is decided, nothing is written. */
import type { AgentConfig } from '#agent/config';
import { rulesFor } from '#agent/config';
import { CommandError } from '#agent/ports/command';
import type { Filesystem, Space } from '#agent/ports/filesystem';
import type { GuestMounts as GuestMountsPort } from '#agent/ports/guest-mounts';
import type { NodeLock } from '#agent/ports/node-lock';
import type { Pmxcfs } from '#agent/ports/pmxcfs';
import type { Proc } from '#agent/ports/proc';
import type { GuestResource, Proxmox } from '#agent/ports/proxmox';
import type { ThinPools } from '#agent/ports/thin-pools';
import { dumpDirOf, pathOf } from '#agent/storage/directory';
import type { NodeView } from '#agent/storage/node-view';
import type { Clock } from '#shared/clock';
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import type { Access, Facts, GuestMounts, Reach, Target } from './facts.ts';
import { servedMounts } from './guest-mounts.ts';
import { known, type Reader, whereKnown } from './known.ts';
import type { Remembered } from './remembered.ts';
import { TEMPORARY, willSuspend } from './suspend.ts';
import { thinPoolsOf } from './thin-pool.ts';
import type { Mode } from './verdict.ts';

export interface GatherPorts {
  view: Pick<NodeView, 'node' | 'resources' | 'storages'>;
  proxmox: Pick<Proxmox, 'guestConfig'>;
  pmxcfs: Pmxcfs;
  nodeLock: NodeLock;
  guestMounts: Pick<GuestMountsPort, 'list' | 'answers'>;
  thinPools: ThinPools;
  filesystem: Filesystem;
  proc: Pick<Proc, 'mountinfo'>;
  clock: Clock;
  settings: () => AgentConfig['backup'];
  /** Bytes of the guest's newest archives, newest first. */
  recentSizes: (vmid: number) => Promise<readonly number[]>;
  /** Removes a lock of a backup that is over; false where it is not known to be. */
  repairStaleLock: (vmid: number) => Promise<boolean>;
}

/** Together under ten seconds, whatever hangs. */
const LIMIT = { reachMs: 3_000, configMs: 2_000, repairMs: 2_000, allMs: 9_500, leastMs: 500 };

export const createGather = (ports: GatherPorts, { read, collect }: Reader, remembered: Remembered) => {
  const { view, clock, settings } = ports;

  const reach = async (vmid: number): Promise<Reach> => {
    const [cluster, resources, storages] = await Promise.all([
      read('the cluster file system', LIMIT.reachMs, () => ports.pmxcfs.read()),
      collect("Proxmox's resources", () => view.resources.read()),
      collect("Proxmox's storages", () => view.storages.read()),
    ]);
    return { vmid, node: view.node, cluster, resources, storages };
  };

  const configOf = ({ vmid, type }: GuestResource): Promise<Access['config']> =>
    read(`the configuration of guest ${vmid}`, LIMIT.configMs, () => ports.proxmox.guestConfig(type, vmid));

  /** The configuration is read again after a repair: without the lock its digest is another. */
  const access = async (guest: GuestResource): Promise<Access> => {
    const config = await configOf(guest);
    if (whereKnown(config)?.lock !== 'backup') return { guest, config };
    const repaired = await read(`the lock of guest ${guest.vmid}`, LIMIT.repairMs, () => ports.repairStaleLock(guest.vmid));
    return { guest, config: whereKnown(repaired) ? await configOf(guest) : config };
  };

  const hostMounts = () => read("the host's mounts", LIMIT.leastMs, async () => parseMountinfo(await ports.proc.mountinfo()));

  /** A storage that was never written to has no directory for archives yet. */
  const spaceOf = async (directory: string, fallback: string): Promise<Space> =>
    ports.filesystem.space(directory).catch((error: unknown) => {
      if (error instanceof CommandError && error.reason === 'exit') return ports.filesystem.space(fallback);
      throw error;
    });

  const target = async ({ resources, storages, node }: Reach, ms: number): Promise<Target> => {
    const name = settings().storage;
    const config = whereKnown(storages)?.find(({ storage }) => storage === name);
    const path = config === undefined ? '' : pathOf(config);
    // First of all: looking at it is what makes an automatic mount come.
    const space =
      config === undefined || path === ''
        ? null
        : await read(`the room of storage ${name}`, ms, () => spaceOf(dumpDirOf(config), path));
    const [mounts, last] = await Promise.all([
      hostMounts(),
      path === '' ? known('') : read(`the last place of storage ${name}`, LIMIT.leastMs, () => remembered.of(name, path)),
    ]);
    const reported = whereKnown(resources)?.storages.filter((storage) => storage.node === node) ?? [];
    return { name, config, reported, remembered: last, mounts, space };
  };

  const answers = async (vmid: number, { point }: Mount, ms: number): Promise<boolean> =>
    whereKnown(await read(`${point} in guest ${vmid}`, ms, () => ports.guestMounts.answers(vmid, point))) ?? false;

  const inside = async (vmid: number, ms: number): Promise<GuestMounts> => {
    const [mounts, host] = await Promise.all([
      read(`the mounts of guest ${vmid}`, LIMIT.leastMs, () => ports.guestMounts.list(vmid)),
      hostMounts(),
    ]);
    const served = servedMounts(whereKnown(mounts) ?? [], whereKnown(host) ?? []);
    const alive = await Promise.all(served.map((mount) => answers(vmid, mount, ms)));
    return { mounts, dead: served.filter((_, index) => !alive[index]).map(({ point }) => point) };
  };

  const facts = async (reached: Reach, guest: GuestResource, config: Facts['config'], startedAt: number): Promise<Facts> => {
    const mode: Mode = guest.status === 'stopped' ? 'stop' : rulesFor(settings(), guest.vmid).mode;
    const storages = whereKnown(reached.storages) ?? [];
    const about = { guest, config, storages, mode };
    const left = Math.max(LIMIT.leastMs, startedAt + LIMIT.allMs - clock.monotonic());
    const ms = Math.min(3_000, left);
    const [where, recentSizes, pools, nodeLockHeld, within, spare] = await Promise.all([
      target(reached, ms),
      read(`the archives of guest ${guest.vmid}`, ms, () => ports.recentSizes(guest.vmid)),
      thinPoolsOf(about).size === 0 ? null : read('the thin pools', ms, () => ports.thinPools.read()),
      read("vzdump's lock", ms, () => ports.nodeLock.held()),
      guest.type === 'lxc' && mode === 'snapshot' ? inside(guest.vmid, ms) : null,
      willSuspend(about) ? read(`the room of ${TEMPORARY}`, ms, () => ports.filesystem.space(TEMPORARY)) : null,
    ]);
    return { ...about, node: reached.node, target: where, recentSizes, pools, nodeLockHeld, inside: within, spare };
  };

  return { reach, access, facts };
};
