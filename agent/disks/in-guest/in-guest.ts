/**
 * How assigned drives show inside a guest: one directory of the host for each guest, given to it once, below which every drive of
 * the guest is mounted a second time. A container sees them come and go while it runs.
 */
import { FelhomError } from '#shared/errors';
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import { type MappedRoot, mappedRootOf } from '../../guests/idmap.ts';
import type { GuestConfigFiles } from '../../ports/guest-config-file.ts';
import type { GuestMounts } from '../../ports/guest-mounts.ts';
import type { Journal } from '../../ports/journal.ts';
import type { MachineShares } from '../../ports/machine-share.ts';
import type { Proc } from '../../ports/proc.ts';
import type { GuestConfigFile } from '../../ports/proxmox-files.ts';
import type { SharedDirectories } from '../../ports/shared-directory.ts';
import { mountAt } from '../deeds/mount-source.ts';
import { type Copy, createCopies } from './guest-copies.ts';
import { GUEST_ROOT, guestPlaces } from './guest-places.ts';
import { createContainerSide } from './in-container.ts';
import { createMachineSide, machineOffer, missingInMachine } from './in-machine.ts';

export interface GuestDirectoryPorts {
  /** `disks.mount_root` */
  mountRoot: string;
  configs: GuestConfigFiles;
  directories: SharedDirectories;
  machines: MachineShares;
  /** What a running container has mounted. */
  guests: Pick<GuestMounts, 'list'>;
  /** The host's mounts. */
  proc: Pick<Proc, 'mountinfo'>;
  journal: Journal;
}

export interface GuestDirectories {
  /**
   * Makes the guest's directory, as often as wanted; at each boot it comes back by itself. Rejects (`mount-failed`) where it cannot be
   * had, or where another guest would see in it what is this guest's.
   */
  prepare(vmid: number): Promise<void>;
  /** Where in that directory a drive is mounted. */
  pointFor(vmid: number, name: string): string;
  /**
   * Shows the directory to the guest. A container gets its one line; a virtual machine nothing, for what it would lose by it is for
   * root to decide (`share`). `note`: what is still to be done, for the operator; empty where nothing is.
   */
  give(vmid: number): Promise<{ note: string }>;
  /** `prepare` and `give`, and a virtual machine gets its share as well. */
  share(vmid: number): Promise<{ note: string }>;
  /** Takes the directory away from the guest, and then altogether. Rejects (`drive-in-use`) while a drive is mounted in it. */
  takeBack(vmid: number): Promise<void>;
  /** Where the guest sees a drive; empty where it does not, and then `note` says to the customer what is missing. */
  shown(vmid: number, name: string): Promise<{ guestPath: string; note: string }>;
  /** Rejects (`guest-not-found`, `mount-failed`) where nobody on the host is the guest's root. */
  mappedRoot(vmid: number): Promise<MappedRoot>;
  /** Takes from copies of guests what was never given to them; answers those that see it all the same. To be asked now and then. */
  guard(): Promise<Copy[]>;
}

/** A refusal stays one; anything else becomes one that can be shown. */
const orRefuse =
  (sentence: string) =>
  (cause: unknown): never => {
    if (cause instanceof FelhomError) throw cause;
    throw new FelhomError('mount-failed', sentence, cause);
  };

export const createGuestDirectories = (ports: GuestDirectoryPorts): GuestDirectories => {
  const { configs, directories, proc } = ports;
  const places = guestPlaces(ports.mountRoot);
  const { find, guard } = createCopies({ ...ports, places });
  const container = createContainerSide({ ...ports, places });
  const machine = createMachineSide({ ...ports, places });

  const hostMounts = async (): Promise<Mount[]> => parseMountinfo(await proc.mountinfo());

  const configOf = async (vmid: number): Promise<GuestConfigFile> => {
    const config = await configs.read(vmid).catch(orRefuse("The server's list of guests cannot be read at the moment."));
    if (config !== null) return config;
    throw new FelhomError('guest-not-found', `Guest ${vmid} is not on this server.`);
  };

  const prepare = async (vmid: number): Promise<void> => {
    const copies = await find().catch(orRefuse('It cannot be told whether another guest would see the drive too.'));
    const copy = copies.find(({ of }) => of === vmid);
    if (copy !== undefined) {
      throw new FelhomError(
        'mount-failed',
        `Guest ${copy.vmid} was made from guest ${vmid} and would see its drives too. Ask your operator to restart guest ${copy.vmid}, or, where that does not help, to take that share out of its configuration.`,
      );
    }
    await directories.ensure(places.own(vmid)).catch(orRefuse('The directory in which drives show to the guest cannot be made.'));
  };

  const unchanged = (vmid: number) => orRefuse(`The configuration of guest ${vmid} could not be changed; it is as it was.`);

  const give = async (vmid: number): Promise<{ note: string }> => {
    const config = await configOf(vmid);
    return { note: config.type === 'qemu' ? machineOffer(config) : await container.give(config).catch(unchanged(vmid)) };
  };

  const share = async (vmid: number): Promise<{ note: string }> => {
    const config = await configOf(vmid);
    await prepare(vmid);
    const side = config.type === 'qemu' ? machine.share : container.give;
    return { note: await side(config).catch(unchanged(vmid)) };
  };

  const takeBack = async (vmid: number): Promise<void> => {
    const below = `${places.own(vmid)}/`;
    if ((await hostMounts()).some(({ point }) => point.startsWith(below)))
      throw new FelhomError('drive-in-use', `Drives of guest ${vmid} are still mounted for it. Eject them first.`);
    const config = await configs.read(vmid).catch(unchanged(vmid));
    if (config !== null) await (config.type === 'qemu' ? machine : container).takeBack(config).catch(unchanged(vmid));
    await directories.remove(places.own(vmid)).catch(orRefuse(`The directory ${places.own(vmid)} could not be taken away.`));
  };

  const shown = async (vmid: number, name: string): Promise<{ guestPath: string; note: string }> => {
    const drive = mountAt(await hostMounts(), places.point(vmid, name));
    if (drive === undefined) return { guestPath: '', note: 'The drive is not mounted for the guest at the moment.' };
    const config = await configOf(vmid);
    const note = config.type === 'qemu' ? missingInMachine(config) : await container.missing(config, name, drive);
    return { guestPath: note === '' ? `${GUEST_ROOT}/${name}` : '', note };
  };

  const mappedRoot = async (vmid: number): Promise<MappedRoot> => {
    const root = mappedRootOf(await configOf(vmid));
    if (root !== null) return root;
    throw new FelhomError('mount-failed', 'The configuration of this container gives its root user no place on the server.');
  };

  return { prepare, pointFor: places.point, give, share, takeBack, shown, mappedRoot, guard };
};
