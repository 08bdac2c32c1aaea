/** What a refusal says about the state: what exists already, what does not, what runs. */

import type { Scene } from './assume.ts';
import { ensureToken, ensureUser } from './assume-access.ts';
import { ensureGuest } from './assume-guests.ts';
import { ensureStorage } from './assume-storages.ts';
import { bodyOf, type Exchange, isObject, messageOf, pathOf, queryOf, succeeded } from './exchange.ts';

type Rule = [pattern: RegExp, then: (scene: Scene, ...groups: string[]) => void];

const guestIs = (type: 'lxc' | 'qemu', status: 'running' | 'stopped') => (scene: Scene, vmid: string) => {
  ensureGuest(scene, Number(vmid), type).status = status;
};

const inPool = (scene: Scene, name: string) => {
  const pool = scene.pve.world.pools.get(name) ?? { vms: new Set<number>(), storages: new Set<string>() };
  scene.pve.world.pools.set(name, pool);
  return pool;
};

const asked = ({ exchange }: Scene): string => bodyOf(exchange).poolid ?? pathOf(exchange)[1] ?? '';

const RULES: Rule[] = [
  [/user '([^']+)' already exists/, (s, id) => void ensureUser(s.pve.world, id ?? '')],
  [/group '([^']+)' already exists/, (s, id) => void s.pve.world.groups.set(id ?? '', {})],
  [/pool '([^']+)' already exists/, (s, id) => void s.pve.world.pools.set(id ?? '', { vms: new Set(), storages: new Set() })],
  [/role '([^']+)' already exists/, (s, id) => void s.pve.world.roles.set(id ?? '', [])],
  [/storage ID '([^']+)' already defined/, (s, id) => void ensureStorage(s, id ?? '')],
  [
    /Job '([^']+)' already exists/,
    (s, id) => void (s.pve.world.backupJobs.has(id ?? '') || s.pve.world.backupJobs.set(id ?? '', {})),
  ],
  [/storage '([^']+)' is disabled/, (s, id) => void Object.assign(ensureStorage(s, id ?? '').config, { disable: 1 })],
  [/storage '([^']+)' does not exist/, (s, id) => void s.pve.world.storages.delete(id ?? '')],
  [/VM (\d+) is already a pool member/, (s, id) => void inPool(s, asked(s)).vms.add(Number(id))],
  [
    /pool '([^']+)' is not empty \(contains VM (\d+)\)/,
    (s, pool, id) => {
      ensureGuest(
        s,
        Number(id),
        s.knowledge.configs.get(Number(id))?.[0]?.value.type === 'lxc'
          ? 'lxc'
          : (s.pve.world.guests.get(Number(id))?.type ?? 'qemu'),
      );
      const { vms } = inPool(s, pool ?? '');
      for (const vmid of [...vms]) if (vmid < Number(id)) vms.delete(vmid);
      vms.add(Number(id));
    },
  ],
  [/pool '([^']+)' does not exist/, (s, id) => void s.pve.world.pools.delete(id ?? '')],
  [/no such user \('([^']+)'\)/, (s, id) => void s.pve.world.users.delete(id ?? '')],
  [
    /no such token '([^']+)' for user '([^']+)'/,
    (s, id, user) => void delete ensureUser(s.pve.world, user ?? '').tokens[id ?? ''],
  ],
  [/No such job '([^']+)'/, (s, id) => void s.pve.world.backupJobs.delete(id ?? '')],
  [
    /Configuration file 'nodes\/[^/]+\/(?:lxc|qemu-server)\/(\d+)\.conf' does not exist/,
    (s, id) => void s.pve.world.guests.delete(Number(id)),
  ],
  [/CT (\d+) already exists/, (s, id) => void ensureGuest(s, Number(id), 'lxc')],
  [/VM (\d+) already exists/, (s, id) => void ensureGuest(s, Number(id), 'qemu')],
  [/CT (\d+) not running/, guestIs('lxc', 'stopped')],
  [/CT (\d+) already running/, guestIs('lxc', 'running')],
  [/destroy CT (\d+) - container is running/, guestIs('lxc', 'running')],
  [/VM (\d+) is running/, guestIs('qemu', 'running')],
  [/VM (\d+) (?:is )?not running/, guestIs('qemu', 'stopped')],
  [
    /VM (\d+) - protection mode enabled/,
    (s, id) => void Object.assign(ensureGuest(s, Number(id), 'qemu').config, { protection: 1 }),
  ],
];

const texts = (e: Exchange): string => {
  const errors =
    isObject(e.response.body) && isObject(e.response.body.errors) ? Object.values(e.response.body.errors).map(String) : [];
  return [messageOf(e), ...errors].join('\n');
};

/** A VM that runs with an agent configured that does not answer, or with none. */
const agent = (scene: Scene): void => {
  const [, , type, vmid, what] = pathOf(scene.exchange);
  if (type !== 'qemu' || what !== 'agent') return;
  const text = texts(scene.exchange);
  const guest = ensureGuest(scene, Number(vmid), 'qemu');
  if (text.includes('guest agent is not running')) {
    guest.status = 'running';
    guest.config.agent ??= '1';
    guest.guestAgentRuns = false;
  }
  if (text.includes('No QEMU guest agent configured')) delete guest.config.agent;
};

/** Members that were taken out were in it, members that were put in were not. */
const changesPool = (scene: Scene, name: string): void => {
  const pool = inPool(scene, name);
  const { vms = '', storage = '', delete: out } = bodyOf(scene.exchange);
  const change = <T>(members: Set<T>, named: T[]): void => {
    for (const member of named) out === '1' ? members.add(member) : members.delete(member);
  };
  change(pool.vms, vms.split(',').filter(Boolean).map(Number));
  change(pool.storages, storage.split(',').filter(Boolean));
};

/** A write that worked found what it removes, and did not find what it makes. */
const beforeWrite = (scene: Scene): void => {
  const { world } = scene.pve;
  const { method } = scene.exchange.request;
  const [first, kind, id, token, tokenid] = pathOf(scene.exchange);
  const body = new URLSearchParams(scene.exchange.request.body ?? '');
  if (method === 'POST') {
    if (first === 'access' && kind === 'users' && token === 'token') delete ensureUser(world, id ?? '').tokens[tokenid ?? ''];
    else if (first === 'access' && kind === 'users') world.users.delete(body.get('userid') ?? '');
    else if (first === 'access' && kind === 'groups') world.groups.delete(body.get('groupid') ?? '');
    else if (first === 'access' && kind === 'roles') world.roles.delete(body.get('roleid') ?? '');
    else if (first === 'pools') world.pools.delete(body.get('poolid') ?? '');
    else if (first === 'storage') world.storages.delete(body.get('storage') ?? '');
    else if (first === 'cluster' && kind === 'backup' && body.has('id')) world.backupJobs.delete(body.get('id') ?? '');
  }
  if (method === 'PUT' && first === 'pools') {
    const json = /"poolid":"([^"]+)"/.exec(scene.exchange.request.body ?? '')?.[1];
    const pool = body.get('poolid') ?? json ?? kind;
    if (pool) changesPool(scene, pool);
  }
  if (method === 'DELETE') {
    if (first === 'access' && kind === 'users' && tokenid !== undefined) ensureToken(scene, id ?? '', tokenid);
    else if (first === 'access' && kind === 'users') ensureUser(world, id ?? '');
    else if (first === 'access' && kind === 'groups') world.groups.set(id ?? '', world.groups.get(id ?? '') ?? {});
    else if (first === 'access' && kind === 'roles') world.roles.set(id ?? '', world.roles.get(id ?? '') ?? []);
    else if (first === 'pools') {
      const pool = kind ?? queryOf(scene.exchange).get('poolid') ?? '';
      world.pools.set(pool, { ...world.pools.get(pool), vms: new Set(), storages: new Set() });
    } else if (first === 'storage') ensureStorage(scene, kind ?? '');
    else if (first === 'cluster' && kind === 'backup') world.backupJobs.set(id ?? '', world.backupJobs.get(id ?? '') ?? {});
  }
};

export const assumeRefusal = (scene: Scene): void => {
  if (succeeded(scene.exchange)) {
    beforeWrite(scene);
    return;
  }
  const text = texts(scene.exchange);
  for (const [pattern, then] of RULES) {
    const found = pattern.exec(text);
    if (found) then(scene, ...found.slice(1).map((group) => group ?? ''));
  }
  const { errors } = isObject(scene.exchange.response.body) ? scene.exchange.response.body : { errors: null };
  const [, , user, , tokenid] = pathOf(scene.exchange);
  if (isObject(errors) && errors.tokenid === 'Token already exists.') ensureToken(scene, user ?? '', tokenid ?? '');
  agent(scene);
};
