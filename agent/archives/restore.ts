/**
 * How an archive is restored by hand: the exact line, and what it does to the guest that is there. Pure; runs nothing.
 * pct(1) and qmrestore(1), pct.adoc "Restoring Container Backups", pve-container API2/LXC.pm (create_vm), qemu-server QemuServer.pm
 * (restore_cleanup_oldconf), pve-manager www/manager6/window/Restore.js ("Mount point volumes are also erased").
 */
import type { GuestResource, StorageConfig } from '#agent/ports/proxmox';
import { guestVolumes, type Volume } from '#agent/storage/volumes';

type Config = Readonly<Record<string, string>>;

export interface RestoreFacts {
  volid: string;
  vmid: number;
  type: 'lxc' | 'qemu';
  node: string;
  /** The guest as Proxmox knows it now; null when it is gone. */
  guest: GuestResource | null;
  /** Its configuration; null when it is gone, or on another node. */
  config: Config | null;
  storages: readonly StorageConfig[];
  /** A number that no guest has. */
  freeVmid: number;
}

export interface RestoreLines {
  command: string;
  /** One sentence each. */
  overwrites: string[];
  warnings: string[];
}

/** For a shell, as it stands. */
const word = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
const line = (...words: string[]): string => words.map(word).join(' ');

const GIB_PER = { K: 1024 ** -2, M: 1 / 1024, G: 1, T: 1024 } as const;

/** `size=8G` as the GiB that a new volume is asked for in; null where the configuration does not say. */
const sizeGib = (text: string): number | null => {
  const [, digits, unit = 'G'] = /(?:^|,)size=(\d+(?:\.\d+)?)([KMGT]?)(?:,|$)/.exec(text) ?? [];
  return digits === undefined ? null : Number(digits) * GIB_PER[(unit || 'G') as keyof typeof GIB_PER];
};

/** A volume of the same size and options, made anew on its storage: `local:8,mp=/data,backup=1`. A bind stays as it is written. */
const asNew = (text: string, { storage }: Volume): string => {
  if (storage === '') return text;
  const options = text.split(',').filter((option) => option.includes('=') && !/^(size|volume)=/.test(option));
  return [`${storage}:${sizeGib(text)}`, ...options].join(',');
};

const hasStorage = ({ storage }: Volume): boolean => storage !== '';

/**
 * One storage for all: Proxmox takes the mounts from the archive. Several: each has to be named, and then the archive's own mounts
 * do not count ("advanced restore mode"), so binds are named too.
 */
const containerPlaces = (volumes: readonly Volume[], config: Config): string[] => {
  const storages = new Set(volumes.filter(hasStorage).map(({ storage }) => storage));
  const [only] = storages;
  const isKnown = volumes.filter(hasStorage).every(({ key }) => sizeGib(config[key] ?? '') !== null);
  if (only === undefined) return [];
  if (storages.size === 1 || !isKnown) return ['--storage', volumes.find(({ key }) => key === 'rootfs')?.storage || only];
  return volumes.flatMap((volume) => [`--${volume.key}`, asNew(config[volume.key] ?? '', volume)]);
};

/** Where a container can go whose own places nobody knows: pct takes `local` unless it is told, which mostly cannot hold one. */
const rootStorages = (storages: readonly StorageConfig[], node: string): string[] =>
  storages
    .filter(
      ({ content, disabled, nodes }) =>
        !disabled && content.split(',').includes('rootdir') && (nodes.length === 0 || nodes.includes(node)),
    )
    .map(({ storage }) => storage)
    .sort();

const nameOf = ({ key, storage, hostPath, mountPoint }: Volume): string =>
  `${key}${mountPoint === '' ? '' : ` (${mountPoint})`} on ${storage || hostPath || 'the host'}`;

const containerEffect = (volume: Volume): string => {
  if (!hasStorage(volume)) return `${nameOf(volume)} is not in the archive and stays as it is.`;
  if (volume.backup) return `${nameOf(volume)} is destroyed and made anew from the archive.`;
  return `${nameOf(volume)} is not in the archive: it is DESTROYED and made anew, EMPTY.`;
};

/** destroy_lxc_container frees them with the others (pve-container LXC.pm); a virtual machine's stay (restore_cleanup_oldconf). */
const unusedVolumes = (config: Config): string[] =>
  Object.keys(config)
    .filter((key) => /^unused\d+$/.test(key))
    .sort()
    .map((key) => `${key} (${config[key]}) is not in the archive: it is DESTROYED.`);

const machineEffect = (volume: Volume): string => {
  if (volume.hostPath !== '' && volume.backup)
    return `${nameOf(volume)} stays as it is: what the archive holds of it becomes a new disk, which needs as much room on a storage.`;
  if (!hasStorage(volume)) return `${nameOf(volume)} is not in the archive and stays as it is.`;
  if (volume.backup) return `${nameOf(volume)} is destroyed and made anew from the archive.`;
  return `${nameOf(volume)} is not in the archive: it is kept, but as an unused disk that has to be attached again.`;
};

/** What Proxmox would refuse, and what has to be done about it, in this order. */
const hurdles = ({ guest, config, node, type, vmid }: RestoreFacts): string[] => {
  if (guest === null) return [];
  const program = type === 'lxc' ? 'pct' : 'qm';
  if (guest.node !== node)
    return [`Guest ${vmid} is on node ${guest.node}: run the command there, where the archive's storage must be reachable too.`];
  return [
    guest.type === type ? '' : `Number ${vmid} belongs to a guest of another kind now: use the line for a new guest.`,
    guest.lock === ''
      ? ''
      : `The guest is locked (${guest.lock}): see that no task of it runs, then "${program} unlock ${vmid}".`,
    config?.protection === '1'
      ? `The guest is protected against deletion: first "${line(program, 'set', String(vmid), '--protection', '0')}".`
      : '',
    guest.status === 'stopped' ? '' : `The guest runs: first "${program} shutdown ${vmid}".`,
    config !== null && 'parent' in config ? 'The guest has snapshots: they are lost with the volumes.' : '',
  ].filter(Boolean);
};

const container = (facts: RestoreFacts): RestoreLines => {
  const { volid, vmid, config, storages, node, freeVmid, guest } = facts;
  const volumes = config === null ? [] : guestVolumes('lxc', config);
  const places = config === null ? [] : containerPlaces(volumes, config);
  const choices = rootStorages(storages, node);
  const fallback = places.length > 0 || choices[0] === undefined ? places : ['--storage', choices[0]];
  const unprivileged = config?.unprivileged === '1' ? ['--unprivileged', '1'] : [];
  const over = guest === null ? [] : ['--force', '1'];
  const beside = line('pct', 'restore', String(freeVmid), volid, ...fallback, ...unprivileged, '--unique', '1');
  return {
    command: line('pct', 'restore', String(vmid), volid, ...fallback, ...unprivileged, ...over),
    overwrites: [...volumes.map(containerEffect), ...unusedVolumes(config ?? {})],
    warnings: [
      places.length === 0 && choices.length > 1 ? `The container can go to any of these storages: ${choices.join(', ')}.` : '',
      places[0] === '--storage' && new Set(volumes.filter(hasStorage).map(({ storage }) => storage)).size > 1
        ? 'The sizes of some volumes are not known: all of them are made anew on one storage.'
        : '',
      besideWarning(facts, beside),
    ].filter(Boolean),
  };
};

/** Without --storage each disk goes back to the storage that the archive's own configuration names. */
const machine = (facts: RestoreFacts): RestoreLines => {
  const { volid, vmid, config, freeVmid, guest } = facts;
  const volumes = config === null ? [] : guestVolumes('qemu', config);
  return {
    command: line('qmrestore', volid, String(vmid), ...(guest === null ? [] : ['--force', '1'])),
    overwrites: volumes.map(machineEffect),
    warnings: [besideWarning(facts, line('qmrestore', volid, String(freeVmid), '--unique', '1'))],
  };
};

const besideWarning = ({ guest, vmid }: RestoreFacts, beside: string): string =>
  guest === null
    ? ''
    : `To leave guest ${vmid} as it is, restore into a new one: "${beside}". Directories of the host that both mount are the same ones, and both have the same addresses if those are fixed: do not let both run.`;

export const restoreLines = (facts: RestoreFacts): RestoreLines => {
  const { command, overwrites, warnings } = facts.type === 'lxc' ? container(facts) : machine(facts);
  return { command, overwrites, warnings: [...hurdles(facts), ...warnings.filter(Boolean)] };
};
