/**
 * Guests made from another, by cloning it or from one of its archives: the copy's configuration shows the drives of the guest that it
 * was made from. Nobody has given it those.
 */
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import type { GuestConfigFiles } from '../../ports/guest-config-file.ts';
import type { GuestMounts } from '../../ports/guest-mounts.ts';
import type { Journal } from '../../ports/journal.ts';
import type { Proc } from '../../ports/proc.ts';
import type { GuestConfigFile } from '../../ports/proxmox-files.ts';
import { createTurn } from '../../turn.ts';
import { lockIn, shownBy, withLine, withoutLine } from './guest-line.ts';
import type { GuestPlaces } from './guest-places.ts';
import { ownerOfShare, sharesIn } from './machine-line.ts';

export interface Copy {
  vmid: number;
  of: number;
}

export interface CopyPorts {
  configs: Pick<GuestConfigFiles, 'all' | 'changeContainer'>;
  /** What a running container has mounted. */
  guests: Pick<GuestMounts, 'list'>;
  /** The host's mounts. */
  proc: Pick<Proc, 'mountinfo'>;
  journal: Journal;
  places: GuestPlaces;
}

export const createCopies = ({ configs, guests, proc, journal, places }: CopyPorts) => {
  /** Whose drives, beside its own, a configuration shows. */
  const foreignIn = ({ vmid, type, text }: GuestConfigFile): number[] => {
    const shown = type === 'lxc' ? shownBy(text, places) : sharesIn(text).map(ownerOfShare);
    return [...new Set(shown)].filter((of): of is number => of !== null && of !== vmid);
  };

  /**
   * A container loses the line, unless Proxmox is at work on it; a virtual machine is only told of, for root alone changes those.
   * @returns `shows`: what its configuration shows still; `changed`: its number, where its configuration showed something
   */
  const restrain = async (config: GuestConfigFile): Promise<{ shows: Copy[]; changed: number[] }> => {
    const { vmid, type, text } = config;
    const foreign = foreignIn(config);
    if (foreign.length === 0) return { shows: [], changed: [] };
    if (type === 'qemu' || lockIn(text) !== '') return { shows: foreign.map((of) => ({ vmid, of })), changed: [] };
    const keepsOwn = shownBy(text, places).includes(vmid);
    await configs.changeContainer(vmid, (now) => (keepsOwn ? withLine(now, places, vmid) : withoutLine(now, places)));
    journal(
      'warning',
      'A container made from another would have seen its drives; that line of its configuration was taken away.',
      {
        vmid,
        of: foreign.join(', '),
      },
    );
    return { shows: [], changed: [vmid] };
  };

  /** Running containers keep what they were started with. */
  const stillSeeing = async (vmid: number, given: readonly { of: number; mount: Mount }[]): Promise<Copy[]> => {
    // Its first process may end just while its mounts are read.
    const seen = (await guests.list(vmid).catch(() => guests.list(vmid))) ?? [];
    return given
      .filter(({ of, mount }) => of !== vmid && seen.some(({ device }) => device === mount.device))
      .map(({ of }) => ({ vmid, of }));
  };

  /** The directories of guests, each a file system of its own. */
  const given = async (): Promise<{ of: number; mount: Mount }[]> =>
    parseMountinfo(await proc.mountinfo()).flatMap((mount) => {
      const of = places.ownerOf(mount.point);
      return of !== null && mount.point === places.own(of) ? [{ of, mount }] : [];
    });

  const isSame = (a: Copy) => (b: Copy) => a.vmid === b.vmid && a.of === b.of;

  const seeing = async (containers: readonly number[]): Promise<Copy[]> => {
    const directories = containers.length === 0 ? [] : await given();
    if (directories.length === 0) return [];
    return (await Promise.all(containers.map((vmid) => stillSeeing(vmid, directories)))).flat();
  };

  /** Containers that were started while their configuration showed it; to read what every container has mounted takes long. */
  let suspects: readonly number[] = [];

  const look = async (whichOf: (containers: readonly number[]) => readonly number[]): Promise<Copy[]> => {
    const known = await configs.all();
    const restrained = await Promise.all(known.map(restrain));
    const told = restrained.flatMap(({ shows }) => shows);
    suspects = [...suspects, ...restrained.flatMap(({ changed }) => changed)];
    const found = await seeing(whichOf(known.flatMap(({ vmid, type }) => (type === 'lxc' ? [vmid] : []))));
    suspects = [...new Set(found.map(({ vmid }) => vmid))];
    return [...told, ...found.filter((one) => !told.some(isSame(one)))];
  };

  const inTurn = createTurn();
  return {
    /** Takes from copies what can be taken; answers those that see another guest's drives all the same. */
    find: (): Promise<Copy[]> => inTurn(() => look((containers) => containers)),
    /** The same by configurations, and by what those containers have mounted whose configuration showed it. To be asked often. */
    guard: (): Promise<Copy[]> => inTurn(() => look((containers) => containers.filter((vmid) => suspects.includes(vmid)))),
  };
};
