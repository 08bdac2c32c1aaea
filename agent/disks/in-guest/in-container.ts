/** A container's side of its drives: the line that gives it their directory, and whether it sees what is mounted there. */
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import type { GuestConfigFiles } from '../../ports/guest-config-file.ts';
import type { GuestMounts } from '../../ports/guest-mounts.ts';
import type { Journal } from '../../ports/journal.ts';
import type { Proc } from '../../ports/proc.ts';
import type { GuestConfigFile } from '../../ports/proxmox-files.ts';
import { mountAt } from '../deeds/mount-source.ts';
import { inTheWay, isGiven, lockIn, withLine, withoutLine } from './guest-line.ts';
import { GUEST_ROOT, type GuestPlaces } from './guest-places.ts';

export interface ContainerPorts {
  configs: Pick<GuestConfigFiles, 'changeContainer'>;
  guests: Pick<GuestMounts, 'list'>;
  /** The host's mounts. */
  proc: Pick<Proc, 'mountinfo'>;
  journal: Journal;
  places: GuestPlaces;
}

const isSame = (a: Mount | undefined, b: Mount | undefined): boolean =>
  a !== undefined && b !== undefined && a.device === b.device && a.root === b.root;

/** What can be seen of a container's mounts. `unknown`: it runs, but they cannot be read. */
type Inside = { state: 'stopped' | 'unknown' } | { state: 'running'; mounts: readonly Mount[] };

export const createContainerSide = ({ configs, guests, proc, journal, places }: ContainerPorts) => {
  const inside = async (vmid: number): Promise<Inside> => {
    try {
      const mounts = await guests.list(vmid);
      return mounts === null ? { state: 'stopped' } : { state: 'running', mounts };
    } catch (error) {
      journal('warning', 'The mounts of a container could not be read.', { vmid, why: String(error) });
      return { state: 'unknown' };
    }
  };

  /** Whether its directory is in it, as that is mounted now. */
  const hasDirectory = async (vmid: number, mounts: readonly Mount[]): Promise<boolean> =>
    isSame(mountAt(mounts, GUEST_ROOT), mountAt(parseMountinfo(await proc.mountinfo()), places.own(vmid)));

  const again = (vmid: number): string => `then run: felhom-agent guest share ${vmid}`;

  /** Why the line cannot be put in now, for the operator; empty where it can, or is there. */
  const obstacle = ({ vmid, text }: GuestConfigFile): string => {
    const key = inTheWay(text, places);
    if (key !== '')
      return `Drives cannot show in container ${vmid}: it has something else at ${GUEST_ROOT} (${key}). Move that, ${again(vmid)}`;
    const lock = isGiven(text, places, vmid) ? '' : lockIn(text);
    if (lock === '') return '';
    return `Drives do not show in container ${vmid} yet: Proxmox has locked it (${lock}). Wait until that is over, ${again(vmid)}`;
  };

  /** @returns what is still to be done, for the operator */
  const give = async (config: GuestConfigFile): Promise<string> => {
    const { vmid } = config;
    const why = obstacle(config);
    if (why !== '') return why;
    if (await configs.changeContainer(vmid, (text) => withLine(text, places, vmid)))
      journal('notice', 'A container was given the directory of its drives.', { vmid });
    const seen = await inside(vmid);
    if (seen.state === 'stopped' || (seen.state === 'running' && (await hasDirectory(vmid, seen.mounts)))) return '';
    return `Restart container ${vmid} once (pct reboot ${vmid}): from then on drives show in it at ${GUEST_ROOT}, and come and go while it runs.`;
  };

  const takeBack = ({ vmid }: GuestConfigFile): Promise<boolean> =>
    configs.changeContainer(vmid, (text) => withoutLine(text, places));

  /** @param drive where it is mounted for this guest @returns for the customer, empty where the drive shows */
  const missing = async ({ vmid, text }: GuestConfigFile, name: string, drive: Mount): Promise<string> => {
    const seen = await inside(vmid);
    if (seen.state === 'running' && isSame(mountAt(seen.mounts, `${GUEST_ROOT}/${name}`), drive)) return '';
    if (seen.state === 'unknown') return 'Whether the drive shows in the container cannot be told at the moment.';
    if (!isGiven(text, places, vmid))
      return `The drive is mounted on the server, but this container is not set up to see its drives yet. Ask your operator (felhom-agent guest share ${vmid}).`;
    if (seen.state === 'stopped') return 'The container does not run. The drive shows in it when it does.';
    return `The drive is mounted on the server. It shows at ${GUEST_ROOT} once this container was restarted.`;
  };

  return { give, takeBack, missing };
};
