/** What the node keeps on disk beside the API: a stand-in for `/etc/pve`, written anew from the world. */

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { configText, rawLinesIn } from './config-text.ts';
import type { Guest, Mappings, NodeFiles, Storage, World } from './world.ts';

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

/** Whole or not at all, as pmxcfs has it: the agent reads while it is written. */
const replace = (file: string, text: string): void => {
  const beside = join(dirname(file), `.${basename(file)}.tmp`);
  writeFileSync(beside, text, { mode: 0o640 });
  renameSync(beside, file);
};

const FOLDERS = { lxc: 'lxc', qemu: 'qemu-server' } as const;

const guestFile = ({ node }: World, { configDir }: NodeFiles, { type, vmid }: Guest): string =>
  join(configDir, 'nodes', node, FOLDERS[type], `${vmid}.conf`);

/** Each guest's file as this simulator knows it. */
const known = new WeakMap<Guest, string>();

/** Takes over what somebody else has written into a container's file since: its raw lines, which no call of the API sets. */
export const takeEdits = (world: World, files: NodeFiles, guest: Guest): void => {
  const file = guestFile(world, files, guest);
  const before = known.get(guest);
  if (guest.type !== 'lxc' || before === undefined || !existsSync(file)) return;
  const text = readFileSync(file, 'utf8');
  if (text === before) return;
  guest.lxc = rawLinesIn(text);
  known.set(guest, text);
};

const guestFiles = (world: World, files: NodeFiles): void => {
  const guests = [...world.guests.values()];
  for (const guest of guests) {
    takeEdits(world, files, guest);
    const text = configText(guest);
    replace(guestFile(world, files, guest), text);
    known.set(guest, text);
  }
  const wanted = new Set(guests.map((guest) => guestFile(world, files, guest)));
  for (const folder of Object.values(FOLDERS).map((name) => join(files.configDir, 'nodes', world.node, name)))
    for (const name of readdirSync(folder)) if (!wanted.has(join(folder, name))) rmSync(join(folder, name));
};

/** Sections without a type before their id. pve-guest-common:src/PVE/Mapping/{PCI,USB,Dir}.pm, format_section_header. */
const mappingText = (mappings: Mappings): string =>
  [...mappings].map(([id, maps]) => `${id}\n${maps.map((map) => `\tmap ${map}\n`).join('')}`).join('\n');

const mappingFiles = ({ mappings = {} }: World, { configDir }: NodeFiles): void => {
  for (const kind of ['pci', 'usb', 'directory'] as const) {
    const file = join(configDir, 'mapping', `${kind}.cfg`);
    if (mappings[kind]) replace(file, mappingText(mappings[kind]));
    else rmSync(file, { force: true });
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
  for (const folder of [...Object.values(FOLDERS).map((name) => join(nodeDir, name)), join(files.configDir, 'mapping')])
    mkdirSync(folder, { recursive: true });
  mkdirSync(files.taskLogDir, { recursive: true });
  const local = join(files.configDir, 'local');
  if (!existsSync(local)) symlinkSync(join('nodes', world.node), local);
  guestFiles(world, files);
  mappingFiles(world, files);
  const own = Object.fromEntries([...world.guests.values()].map((g) => [g.vmid, { node: world.node, type: g.type, version }]));
  const ids = { ...guestsElsewhere(world, files), ...own };
  writeJson(join(files.configDir, '.vmlist'), { version, ids });
  writeJson(join(files.configDir, '.members'), members(world));
  writeJson(join(files.configDir, '.version'), { starttime: 1, clinfo: version, vmlist: version });
  replace(join(files.configDir, 'storage.cfg'), storageCfg(world));
};
