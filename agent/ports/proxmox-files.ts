/**
 * Proxmox's own files that tell what drives are for: storages, guests, mappings. Each is read whole and strictly. One file after the other,
 * so that a cluster file system that hangs holds one thread; whoever reads sets the deadline, and reads one at a time.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NotUnderstood, plainText } from '../not-understood.ts';
import { assertPmxcfs } from './pmxcfs.ts';
import { keysOf, parseSections } from './section-config.ts';

/** A section of storage.cfg. */
export interface StorageSection {
  type: string;
  id: string;
  keys: Readonly<Record<string, string>>;
}

/** A guest's configuration file, as it stands. */
export interface GuestConfigFile {
  vmid: number;
  type: 'lxc' | 'qemu';
  text: string;
}

/** A section of /etc/pve/mapping/{pci,usb,directory}.cfg: each `map` line as its properties. */
export interface Mapping {
  id: string;
  entries: readonly Readonly<Record<string, string>>[];
}

export interface ProxmoxFiles {
  node: string;
  storages: readonly StorageSection[];
  /** This node's, running or not. */
  guests: readonly GuestConfigFile[];
  pci: readonly Mapping[];
  usb: readonly Mapping[];
  directories: readonly Mapping[];
}

export interface ProxmoxFilesPort {
  /** Rejects where Proxmox's configuration is not there as a whole: an empty directory is what stands below an unmounted one. */
  read(): Promise<ProxmoxFiles>;
}

const FOLDERS = [
  ['lxc', 'lxc'],
  ['qemu', 'qemu-server'],
] as const;

/** As pve-container:src/PVE/LXC/Config.pm and qemu-server:src/PVE/QemuServer.pm read them: comments, sections, keys, and LXC's own lines. */
const GUEST_LINE = /^(?:#.*|\[[^\]]+\]\s*|[a-z][\w.-]*\s*[:=].*|\s*)$/;

/** @throws NotUnderstood where something else stands in it */
const guestText = (text: string, file: string): string => {
  const wrong = text.split('\n').findIndex((line) => !GUEST_LINE.test(line));
  if (wrong !== -1) throw new NotUnderstood(`${file}, line ${wrong + 1}, is not understood`);
  return text;
};

export const parseStorages = (text: string): StorageSection[] =>
  parseSections(text, 'storage.cfg').map((section) => ({
    type: section.type,
    id: section.id,
    keys: keysOf(section, 'storage.cfg'),
  }));

/** `node=pve1,path=0000:01:00.0`. */
const properties = (value: string, file: string): Record<string, string> =>
  Object.fromEntries(
    value.split(',').map((part): [string, string] => {
      const equals = part.indexOf('=');
      if (equals < 1) throw new NotUnderstood(`${file} has a mapping that is not understood`);
      return [part.slice(0, equals), part.slice(equals + 1)];
    }),
  );

export const parseMappings = (text: string, file: string): Mapping[] =>
  parseSections(text, file, 'untyped').map(({ id, lines }) => ({
    id,
    entries: lines.filter(([key]) => key === 'map').map(([, value]) => properties(value, file)),
  }));

const isAbsent = (error: unknown): boolean => error instanceof Error && 'code' in error && error.code === 'ENOENT';

export const createProxmoxFiles = (configDir: string): ProxmoxFilesPort => {
  /** Null where there is no such file. */
  const text = async (...path: string[]): Promise<string | null> => {
    const file = join(...path);
    try {
      return plainText(await readFile(join(configDir, file)), file);
    } catch (error) {
      if (isAbsent(error)) return null;
      throw error;
    }
  };

  const guestsOf = async (node: string): Promise<GuestConfigFile[]> => {
    const guests: GuestConfigFile[] = [];
    for (const [type, folder] of FOLDERS) {
      const directory = join('nodes', node, folder);
      for (const name of await readdir(join(configDir, directory))) {
        const [, vmid] = /^([1-9]\d{2,8})\.conf$/.exec(name) ?? [];
        const found = vmid === undefined ? null : await text(directory, name);
        // A guest that was destroyed or moved away meanwhile has no file any more.
        if (found !== null) guests.push({ vmid: Number(vmid), type, text: guestText(found, join(directory, name)) });
      }
    }
    return guests;
  };

  const mappings = async (kind: string): Promise<Mapping[]> =>
    parseMappings((await text('mapping', `${kind}.cfg`)) ?? '', `mapping/${kind}.cfg`);

  return {
    read: async () => {
      const node = await assertPmxcfs(configDir);
      return {
        node,
        // Without the file Proxmox has its directory on the root file system only (pve-storage:src/PVE/Storage.pm, config).
        storages: parseStorages((await text('storage.cfg')) ?? ''),
        guests: await guestsOf(node),
        pci: await mappings('pci'),
        usb: await mappings('usb'),
        directories: await mappings('directory'),
      };
    },
  };
};
