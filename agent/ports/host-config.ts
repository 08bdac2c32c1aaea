/** What the host's own files say of its drives, plugged in or not. What is not there says nothing; what cannot be read or understood rejects. */
import { readdir, readFile, realpath } from 'node:fs/promises';
import { hostname, release } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '#shared/clock';
import { NotUnderstood, plainText } from '../not-understood.ts';
import { bootPartitions } from './boot-entry.ts';
import { type FstabLine, parseBootUuids, parseCrypttab, parseFstab, parseMdadm } from './config-text.ts';
import { keysOf, parseSections } from './section-config.ts';
import { type MountUnit, mountUnit, type SpecifierFacts } from './unit-file.ts';

/** What the host's own files say of its drives, plugged in or not. */
export interface HostConfig {
  fstab: readonly FstabLine[];
  crypttab: readonly { name: string; device: string }[];
  /** UUIDs of `ARRAY` lines in mdadm.conf, as hex digits without separators. */
  mdUuids: readonly string[];
  /** Mount and swap units of systemd, generated ones too; not felhom's own. `where` is empty for swap. */
  units: readonly { file: string; what: string; where: string }[];
  /** File systems that proxmox-boot-tool keeps boot loaders on. */
  bootUuids: readonly string[];
  /** Partitions that the firmware's boot entries name, by GUID, lower case. */
  efiPartitions: readonly string[];
  /** Datastores of a Proxmox Backup Server on this host. */
  datastores: readonly { name: string; path: string; backingDevice: string }[];
}

export interface HostFiles {
  read(): Promise<HostConfig>;
}

const isAbsent = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

const whereThere = async <T>(reading: Promise<T>, otherwise: T): Promise<T> => {
  try {
    return await reading;
  } catch (error) {
    if (isAbsent(error)) return otherwise;
    throw error;
  }
};

/** systemd.unit(5), UNIT FILE LOAD PATH, with what generators make of fstab and crypttab. */
const UNIT_DIRECTORIES = [
  '/etc/systemd/system',
  '/run/systemd/system',
  '/run/systemd/transient',
  '/run/systemd/generator.early',
  '/run/systemd/generator',
  '/run/systemd/generator.late',
  '/usr/local/lib/systemd/system',
  '/usr/lib/systemd/system',
  '/lib/systemd/system',
];

const MDADM_FILES = ['/etc/mdadm/mdadm.conf', '/etc/mdadm.conf'];
const MDADM_DIRECTORIES = ['/etc/mdadm/mdadm.conf.d', '/etc/mdadm.conf.d'];

const EFI_VARIABLES = '/sys/firmware/efi/efivars';
/** EFI_GLOBAL_VARIABLE, of UEFI 2.10, 3.3. */
const BOOT_ENTRY = /^(Boot[0-9A-F]{4})-8be4df61-93ca-11d2-aa0d-00e098032b8c$/i;
/** Reading a variable stops the processors while the firmware runs: not at every look. */
const BOOT_ENTRIES_KEPT_MS = 10 * 60_000;

export const createHostFiles = ({ clock, root = '/' }: { clock: Clock; root?: string }): HostFiles => {
  const text = async (path: string): Promise<string> =>
    plainText(await whereThere(readFile(join(root, path)), Buffer.alloc(0)), path);
  const names = async (directory: string): Promise<string[]> => (await whereThere(readdir(join(root, directory)), [])).sort();

  const mdUuids = async (): Promise<string[]> => {
    const inDirectories = await Promise.all(
      MDADM_DIRECTORIES.map(async (directory) =>
        (await names(directory)).filter((name) => name.endsWith('.conf')).map((name) => join(directory, name)),
      ),
    );
    const files = [...MDADM_FILES, ...inDirectories.flat()];
    return (await Promise.all(files.map(async (file) => parseMdadm(await text(file), file)))).flat();
  };

  /** A unit and its drop-ins, each of which may name another thing to mount. */
  const unitsIn = async (directory: string, facts: SpecifierFacts): Promise<MountUnit[]> => {
    const entries = await names(directory);
    const found = entries.map(async (entry) => {
      const [, file, dropIns] = /^(.+\.(?:mount|swap))(\.d)?$/.exec(entry) ?? [];
      if (file === undefined) return [];
      const parts = dropIns === undefined ? [''] : (await names(join(directory, entry))).filter((name) => name.endsWith('.conf'));
      return Promise.all(parts.map(async (part) => mountUnit(file, await text(join(directory, entry, part)), facts)));
    });
    return (await Promise.all(found)).flat().filter((unit) => unit !== null);
  };

  const units = async (): Promise<MountUnit[]> => {
    const facts = { hostname: hostname(), machineId: (await text('/etc/machine-id')).trim(), kernelRelease: release() };
    // /lib is a link to /usr/lib.
    const real = await Promise.all(UNIT_DIRECTORIES.map((directory) => whereThere(realpath(join(root, directory)), '')));
    const distinct = UNIT_DIRECTORIES.filter((_directory, at) => real[at] !== '' && real.indexOf(real[at] ?? '') === at);
    return (await Promise.all(distinct.map((directory) => unitsIn(directory, facts)))).flat();
  };

  const readBootEntries = async (): Promise<string[]> => {
    const variables = await whereThere(readdir(join(root, EFI_VARIABLES)), null);
    // On a host without EFI the directory is not there; where it is, the firmware has many variables.
    if (variables?.length === 0) throw new NotUnderstood(`${EFI_VARIABLES} is empty: efivarfs is not mounted`);
    const found: string[] = [];
    for (const file of variables ?? []) {
      const [, name] = BOOT_ENTRY.exec(file) ?? [];
      if (name === undefined) continue;
      found.push(...bootPartitions(await whereThere(readFile(join(root, EFI_VARIABLES, file)), Buffer.alloc(0)), name));
    }
    return [...new Set(found)];
  };
  let kept: { at: number; partitions: string[] } | null = null;
  const efiPartitions = async (): Promise<string[]> => {
    if (kept === null || clock.monotonic() - kept.at >= BOOT_ENTRIES_KEPT_MS)
      kept = { at: clock.monotonic(), partitions: await readBootEntries() };
    return kept.partitions;
  };

  const datastores = async (): Promise<HostConfig['datastores']> => {
    const file = '/etc/proxmox-backup/datastore.cfg';
    return parseSections(await text(file), file)
      .filter(({ type }) => type === 'datastore')
      .map((section) => {
        const { path = '', 'backing-device': backingDevice = '' } = keysOf(section, file);
        return { name: section.id, path, backingDevice };
      });
  };

  return {
    read: async () => ({
      fstab: parseFstab(await text('/etc/fstab')),
      crypttab: parseCrypttab(await text('/etc/crypttab')),
      mdUuids: await mdUuids(),
      units: await units(),
      bootUuids: parseBootUuids(await text('/etc/kernel/proxmox-boot-uuids')),
      efiPartitions: await efiPartitions(),
      datastores: await datastores(),
    }),
  };
};
