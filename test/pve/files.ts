/** What the node keeps on disk beside the API: a stand-in for `/etc/pve`, written anew from the world. */

import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configText } from './config-text.ts';
import type { NodeFiles, Storage, World } from './world.ts';

export const nodeFiles = (dir: string): NodeFiles => ({
  configDir: join(dir, 'etc-pve'),
  taskLogDir: join(dir, 'tasks'),
  lockFile: join(dir, 'vzdump.lock'),
});

const storageText = (storage: Storage): string =>
  `${storage.type}: ${storage.storage}\n${Object.entries(storage.config)
    .filter(([key]) => key !== 'digest')
    .map(([key, value]) => `\t${key} ${value}\n`)
    .join('')}`;

export const storageCfg = (world: World): string => [...world.storages.values()].map(storageText).join('\n');

/** pmxcfs counts changes; here every writing counts one up. */
let version = 1;

const guestFolders = (world: World, folder: string): void => {
  for (const [name, type] of [
    ['lxc', 'lxc'],
    ['qemu-server', 'qemu'],
  ] as const) {
    const below = join(folder, name);
    rmSync(below, { recursive: true, force: true });
    mkdirSync(below, { recursive: true });
    for (const guest of world.guests.values())
      if (guest.type === type) writeFileSync(join(below, `${guest.vmid}.conf`), configText(guest), { mode: 0o640 });
  }
};

interface ListedGuest {
  node: string;
  type: string;
  version: number;
}

/** What a test has put into the list for other nodes stays. */
const guestsElsewhere = (world: World, files: NodeFiles): Record<string, ListedGuest> => {
  const file = join(files.configDir, '.vmlist');
  if (!existsSync(file)) return {};
  const { ids } = JSON.parse(readFileSync(file, 'utf8')) as { ids: Record<string, ListedGuest> };
  return Object.fromEntries(Object.entries(ids).filter(([, guest]) => guest.node !== world.node));
};

/** As pmxcfs makes it up (pmxcfs/status.c): `cluster` and `nodelist` are there only where corosync is configured. */
const members = ({ node, quorate }: World): Record<string, unknown> => {
  if (quorate === undefined) return { nodename: node, version };
  const nodelist = { [node]: { id: 1, online: 1, ip: '127.0.0.1' }, other: { id: 2, online: quorate ? 1 : 0, ip: '127.0.0.2' } };
  return { nodename: node, version, cluster: { name: 'lab', version: 2, nodes: 2, quorate: quorate ? 1 : 0 }, nodelist };
};

/** Whole or not at all, as a file that pmxcfs makes up is read. */
const writeJson = (file: string, content: unknown): void => {
  writeFileSync(`${file}.tmp`, JSON.stringify(content));
  renameSync(`${file}.tmp`, file);
};

export const writeConfigFiles = (world: World, files: NodeFiles): void => {
  version += 1;
  const nodeDir = join(files.configDir, 'nodes', world.node);
  mkdirSync(nodeDir, { recursive: true });
  mkdirSync(files.taskLogDir, { recursive: true });
  const local = join(files.configDir, 'local');
  if (!existsSync(local)) symlinkSync(join('nodes', world.node), local);
  guestFolders(world, nodeDir);
  const own = Object.fromEntries([...world.guests.values()].map((g) => [g.vmid, { node: world.node, type: g.type, version }]));
  const ids = { ...guestsElsewhere(world, files), ...own };
  writeJson(join(files.configDir, '.vmlist'), { version, ids });
  writeJson(join(files.configDir, '.members'), members(world));
  writeJson(join(files.configDir, '.version'), { starttime: 1, clinfo: version, vmlist: version });
  writeFileSync(join(files.configDir, 'storage.cfg'), storageCfg(world));
};
