/** Storages and their volumes as an exchange finds them. */

import type { Archive, ConfigValue, Storage, Volume, World } from '../world.ts';
import type { Scene } from './assume.ts';
import { dataOf, isObject, type Json, type JsonObject, pathOf, queryOf, rowsOf, succeeded } from './exchange.ts';
import { at, knownLog, outcome } from './knowledge.ts';

const NOT_CONFIG = ['storage', 'type', 'digest'];

const configOf = (row: JsonObject): Record<string, ConfigValue> => {
  const pairs = Object.entries(row).filter(([key]) => !NOT_CONFIG.includes(key));
  return Object.fromEntries(pairs.map(([key, value]) => [key, key === 'disable' ? Number(value) : (value as ConfigValue)]));
};

export const ensureStorage = ({ pve, index, knowledge }: Pick<Scene, 'pve' | 'index' | 'knowledge'>, id: string): Storage => {
  const there = pve.world.storages.get(id);
  if (there) return there;
  const known = at(knowledge.storages.get(id), index);
  const storage: Storage = {
    storage: id,
    type: String(known?.type ?? 'dir'),
    config: known ? configOf(known) : { path: `/srv/${id}`, content: 'backup' },
    active: true,
    hung: false,
    total: 270_553_174_016,
    used: 28_884_443_136,
    avail: 79_000_000_000,
    archives: [],
    volumes: [],
    snapshots: false,
  };
  pve.world.storages.set(id, storage);
  return storage;
};

const sizes = (storage: Storage, row: JsonObject, total = row.total, used = row.used): void => {
  if (typeof total === 'number' && total > 0) storage.total = total;
  if (typeof used === 'number' && used > 0) storage.used = used;
  if (typeof row.avail === 'number' && row.avail > 0) storage.avail = row.avail;
};

const sameSet = (a: string, b: string): boolean => a.split(',').sort().join() === b.split(',').sort().join();

const fromNodeRow = (scene: Scene, row: JsonObject): void => {
  const storage = ensureStorage(scene, String(row.storage));
  storage.type = String(row.type ?? storage.type);
  const content = String(row.content ?? '');
  if (!sameSet(content, String(storage.config.content ?? ''))) storage.config.content = content;
  if (row.enabled === 0) storage.config.disable = 1;
  else delete storage.config.disable;
  if (row.enabled !== 0) storage.active = row.active === 1;
  sizes(storage, row);
};

const archiveOf = (row: JsonObject, before: Archive | undefined): Archive => {
  const firstLine = String(row.notes ?? '');
  const notes = before && before.notes.split('\n')[0] === firstLine ? before.notes : firstLine;
  return {
    ...(before ?? {}),
    volid: String(row.volid),
    vmid: Number(row.vmid),
    subtype: row.subtype === 'qemu' ? 'qemu' : 'lxc',
    format: String(row.format),
    ctime: Number(row.ctime),
    size: Number(row.size),
    notes,
    protected: row.protected === 1,
  };
};

const volumeOf = (row: JsonObject): Volume => ({
  volid: String(row.volid),
  content: row.content as Volume['content'],
  format: String(row.format),
  size: Number(row.size),
  ...(typeof row.ctime === 'number' ? { ctime: row.ctime } : {}),
  ...(typeof row.vmid === 'number' ? { vmid: row.vmid } : {}),
  ...('parent' in row ? { parent: row.parent as string | null } : {}),
  ...(typeof row.used === 'number' ? { used: row.used } : {}),
});

/** What the list was asked for is exactly what it shows, as far as the caller sees everything. */
const fromContent = (scene: Scene, storage: Storage): void => {
  const query = queryOf(scene.exchange);
  const [content, vmid] = [query.get('content'), query.get('vmid')];
  const rows = rowsOf(scene.exchange);
  if (rows.length === 0) return;
  const asked = (kind: string, owner: number | undefined): boolean =>
    (content === null || content === kind) && (vmid === null || Number(vmid) === owner);
  const backups = rows.filter((row) => row.content === 'backup');
  const seesAll =
    !backups.some((row) => row.vmid === undefined) && /full|root/.test(JSON.stringify(scene.exchange.request.headers));
  const kept = (a: Archive): boolean => !seesAll || !asked('backup', a.vmid);
  const listed = backups.map((row) =>
    archiveOf(
      row,
      storage.archives.find((a) => a.volid === row.volid),
    ),
  );
  storage.archives = [...storage.archives.filter((a) => kept(a) && !listed.some((l) => l.volid === a.volid)), ...listed];
  const others = rows.filter((row) => row.content !== 'backup').map(volumeOf);
  storage.volumes = [
    ...storage.volumes.filter((v) => !asked(v.content, v.vmid) && !others.some((o) => o.volid === v.volid)),
    ...others,
  ];
};

const BACKUP = /^([\w.-]+):backup\/vzdump-(lxc|qemu)-(\d+)-(\d{4})_(\d\d)_(\d\d)-(\d\d)_(\d\d)_(\d\d)\.(.+)$/;

/** A backup that an exchange names and finds. */
export const ensureArchive = (scene: Scene, volid: string): Archive | undefined => {
  const [, id = '', subtype, vmid, y, mo, d, h, mi, s, format = ''] = BACKUP.exec(volid) ?? [];
  if (id === '') return undefined;
  const storage = ensureStorage(scene, id);
  const there = storage.archives.find((a) => a.volid === volid);
  if (there) return there;
  const ctime = Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s)) / 1000;
  const made: Archive = {
    volid,
    vmid: Number(vmid),
    subtype: subtype === 'qemu' ? 'qemu' : 'lxc',
    format,
    ctime,
    size: 4_083_227,
    notes: '',
    protected: false,
  };
  storage.archives.push(made);
  return made;
};

const fromVolume = (scene: Scene, volid: string, data: Json | undefined): void => {
  const archive = ensureArchive(scene, volid);
  if (!archive || !isObject(data)) return;
  archive.notes = String(data.notes ?? archive.notes);
  archive.protected = data.protected === 1;
  archive.size = Number(data.size ?? archive.size);
};

const read = (scene: Scene): void => {
  const { exchange, pve } = scene;
  const [first, second, third = '', id = '', what, ...volume] = pathOf(exchange);
  const data = dataOf(exchange);
  if (first === 'storage')
    for (const row of second === undefined ? rowsOf(exchange) : isObject(data) ? [data] : [])
      ensureStorage(scene, String(row.storage)).config = configOf(row);
  if (first === 'nodes' && third === 'storage') {
    if (id === '') for (const row of rowsOf(exchange)) fromNodeRow(scene, row);
    else if (what === 'status' && isObject(data)) fromNodeRow(scene, { ...data, storage: id });
    else if (what === 'content' && volume.length === 0) fromContent(scene, ensureStorage(scene, id));
    else if (what === 'content') fromVolume(scene, volume.join('/'), data);
  }
  if (first === 'cluster' && second === 'resources') for (const row of rowsOf(exchange)) fromResource(scene, row);
  if (
    first === 'nodes' &&
    (third === 'disks' || third === 'hardware' || third === 'apt' || third === 'dns' || third === 'status' || third === 'rrddata')
  )
    fromHost(pve.world, exchange.request.path, `${third}/${id}`, data);
  if (first === 'nodes' && third === 'vzdump' && id === 'extractconfig')
    ensureArchive(scene, queryOf(exchange).get('volume') ?? '');
};

const fromResource = (scene: Scene, row: JsonObject): void => {
  if (row.type !== 'storage') return;
  const storage = ensureStorage(scene, String(row.storage));
  sizes(storage, row, row.maxdisk, row.disk);
  if (row.status === 'available') storage.active = true;
};

type Rows = Record<string, string>[];

/** The machine's hardware, packages and name servers. */
const fromHost = (world: World, path: string, what: string, data: Json | undefined): void => {
  const host = { ...world.host };
  const rows = Array.isArray(data) ? data.filter(isObject) : [];
  if (what === 'disks/list') host.disks = rows as Record<string, string | number | null>[];
  if (what === 'disks/lvmthin') host.thinPools = rows as unknown as NonNullable<typeof host.thinPools>;
  if (what === 'disks/smart' && isObject(data))
    host.smart = { ...host.smart, [new URLSearchParams(path.split('?')[1]).get('disk') ?? '']: data };
  if (what === 'hardware/pci') host.pci = rows as Record<string, string | number>[];
  if (what === 'apt/update') host.updates = rows as Rows;
  if (what === 'apt/versions') host.packages = rows as Rows;
  if (what === 'dns/' && isObject(data)) host.nameservers = data as Record<string, string>;
  if (what === 'status/' && isObject(data)) host.status = { 'boot-info': data['boot-info'] };
  for (const row of rows)
    if (what === 'rrddata/' && typeof row.maxcpu === 'number') host.usage = { ...host.usage, maxcpu: row.maxcpu };
  world.host = host;
};

/** The recorded restoration found its backup. */
const restores = ({ exchange, knowledge }: Scene): boolean => {
  const upid = dataOf(exchange);
  const ended = typeof upid === 'string' ? outcome(knowledge.tasks.get(upid)) : undefined;
  return ended !== undefined && !/does not exist/.test(ended);
};

/** What the worker of a deletion or of a pruning said it found. */
const found = (scene: Scene): void => {
  const upid = dataOf(scene.exchange);
  if (typeof upid !== 'string') return;
  const known = scene.knowledge.tasks.get(upid);
  const [, name, id] = /^cannot remove protected volume '([^']+)' on '([^']+)'/.exec(outcome(known) ?? '') ?? [];
  const locked = name === undefined ? undefined : ensureArchive(scene, `${id}:${name}`);
  if (locked) locked.protected = true;
  for (const line of knownLog(known) ?? []) {
    const [, volid] = /^removing backup '([^']+)'/.exec(line) ?? [];
    const archive = volid === undefined ? undefined : ensureArchive(scene, volid);
    if (archive) newerThan(scene, archive);
  }
};

/** Something newer was kept. */
const newerThan = (scene: Scene, archive: Archive): void => {
  const storage = ensureStorage(scene, archive.volid.split(':')[0] ?? '');
  if (storage.archives.some((a) => a.vmid === archive.vmid && a.ctime > archive.ctime)) return;
  const ctime = Math.floor((Date.parse(scene.exchange.response.headers?.Date ?? '') || Date.now()) / 1000) - 1;
  const stamp = new Date(ctime * 1000).toISOString().replace(/^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+).*/, '$1_$2_$3-$4_$5_$6');
  storage.archives.push({ ...archive, volid: archive.volid.replace(/\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d/, stamp), ctime });
};

export const assumeStorages = (scene: Scene): void => {
  const { exchange } = scene;
  const [, , third, id, what, ...volume] = pathOf(exchange);
  if (!succeeded(exchange)) return;
  if (exchange.request.method === 'GET') {
    read(scene);
    return;
  }
  found(scene);
  const named = new URLSearchParams(exchange.request.body ?? '').get('storage');
  for (const storage of [third === 'storage' ? id : undefined, third === 'vzdump' ? named : undefined])
    if (storage !== undefined && storage !== null && scene.knowledge.storages.has(storage)) ensureStorage(scene, storage);
  const template =
    new URLSearchParams(exchange.request.body ?? '').get('ostemplate') ??
    new URLSearchParams(exchange.request.body ?? '').get('archive');
  if (template !== null && restores(scene)) ensureArchive(scene, template);
  if (third === 'storage' && what === 'content' && volume.length > 0) {
    const volid = volume.join('/');
    // The deletion of a volume that is not there succeeds too: only one seen elsewhere is taken to exist.
    if (exchange.request.method === 'PUT' || scene.exchange.name.includes('protected') || queryOf(exchange).has('delay'))
      ensureArchive(scene, volid);
  }
};
