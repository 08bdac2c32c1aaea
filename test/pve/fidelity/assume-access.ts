/** Users, tokens, groups, roles, pools and the ACL as an exchange finds them. */

import { randomUUID } from 'node:crypto';
import type { Acl, User, World } from '../world.ts';
import type { Scene } from './assume.ts';
import {
  bodyOf,
  callerOf,
  dataOf,
  type Exchange,
  isObject,
  type Json,
  type JsonObject,
  pathOf,
  rowsOf,
  succeeded,
} from './exchange.ts';
import { at } from './knowledge.ts';

const KNOWN = ['userid', 'enable', 'expire', 'groups', 'tokens', 'realm-type'];

export const ensureUser = (world: World, userid: string): User => {
  const user = world.users.get(userid) ?? { userid, enable: true, expire: 0, groups: [], extra: {}, tokens: {} };
  world.users.set(userid, user);
  return user;
};

const setToken = (user: User, tokenid: string, info: JsonObject): void => {
  const secret = user.tokens[tokenid]?.secret ?? randomUUID();
  const comment = typeof info.comment === 'string' ? { comment: info.comment } : {};
  user.tokens[tokenid] = { secret, privsep: info.privsep === 1, expire: Number(info.expire ?? 0), ...comment };
};

/** A token that is named, with the privilege separation the recording knows of. */
export const ensureToken = ({ pve, knowledge }: Pick<Scene, 'pve' | 'knowledge'>, userid: string, tokenid: string): void => {
  const user = ensureUser(pve.world, userid);
  if (user.tokens[tokenid]) return;
  user.tokens[tokenid] = { secret: randomUUID(), privsep: knowledge.tokens.get(`${userid}!${tokenid}`) !== false, expire: 0 };
};

const tokensOf = (value: Json | undefined): [string, JsonObject][] => {
  if (Array.isArray(value)) return value.filter(isObject).map((t) => [String(t.tokenid), t]);
  return isObject(value)
    ? Object.entries(value).flatMap(([id, t]) => (isObject(t) ? [[id, t] as [string, JsonObject]] : []))
    : [];
};

const setTokens = (user: User, value: Json | undefined): void => {
  const listed = tokensOf(value);
  for (const id of Object.keys(user.tokens)) if (!listed.some(([name]) => name === id)) delete user.tokens[id];
  for (const [id, info] of listed) setToken(user, id, info);
};

const setUser = (world: World, userid: string, row: JsonObject): void => {
  const user = ensureUser(world, userid);
  user.enable = row.enable !== 0;
  user.expire = Number(row.expire ?? 0);
  user.extra = Object.fromEntries(Object.entries(row).filter(([key]) => !KNOWN.includes(key))) as User['extra'];
  if (Array.isArray(row.groups)) user.groups = row.groups.map(String);
  else if (typeof row.groups === 'string') user.groups = row.groups.split(',').filter(Boolean);
};

const acl = (row: JsonObject): Acl => ({
  path: String(row.path),
  roleid: String(row.roleid),
  type: row.type as Acl['type'],
  ugid: String(row.ugid),
  propagate: row.propagate === 1,
});

const readAccess = ({ pve, exchange }: Scene): void => {
  const { world } = pve;
  const data = dataOf(exchange);
  const rows = rowsOf(exchange);
  const [, kind, name = '', tokens, tokenid] = pathOf(exchange);
  if (kind === 'users' && name === '' && rows.length > 0) {
    for (const userid of world.users.keys()) if (!rows.some((row) => row.userid === userid)) world.users.delete(userid);
    for (const row of rows) {
      setUser(world, String(row.userid), row);
      if ('tokens' in row) setTokens(ensureUser(world, String(row.userid)), row.tokens);
    }
  } else if (kind === 'users' && tokenid !== undefined && isObject(data)) setToken(ensureUser(world, name), tokenid, data);
  else if (kind === 'users' && tokens === 'token') setTokens(ensureUser(world, name), data);
  else if (kind === 'users' && isObject(data)) {
    setUser(world, name, data);
    setTokens(ensureUser(world, name), data.tokens);
  } else if (kind === 'groups' && name === '') {
    world.groups = new Map(
      rows.map((row) => [String(row.groupid), typeof row.comment === 'string' ? { comment: row.comment } : {}]),
    );
    for (const row of rows)
      for (const userid of String(row.users ?? '')
        .split(',')
        .filter(Boolean))
        ensureUser(world, userid).groups = [...new Set([...ensureUser(world, userid).groups, String(row.groupid)])];
  } else if (kind === 'groups' && isObject(data))
    world.groups.set(name, typeof data.comment === 'string' ? { comment: data.comment } : {});
  else if (kind === 'roles' && name === '')
    world.roles = new Map(
      rows
        .filter((row) => row.special !== 1)
        .map((row) => [
          String(row.roleid),
          String(row.privs ?? '')
            .split(',')
            .filter(Boolean),
        ]),
    );
  else if (kind === 'acl' && rows.length > 0) world.acl = rows.map(acl);
};

const seesAllPools = (e: Exchange): boolean => /^(?:admin@pve(?:!full)?|root@pam)/.test(callerOf(e) ?? '');

const readPools = ({ pve, exchange }: Scene): void => {
  const { pools } = pve.world;
  const data = dataOf(exchange);
  const name = pathOf(exchange)[1] ?? new URLSearchParams(exchange.request.path.split('?')[1]).get('poolid') ?? '';
  const comment = (row: JsonObject) => (typeof row.comment === 'string' ? { comment: row.comment } : {});
  for (const row of rowsOf(exchange)) {
    const id = String(row.poolid);
    pools.set(id, { vms: new Set(), storages: new Set(), ...pools.get(id), ...comment(row) });
  }
  if (name === '' && seesAllPools(exchange))
    for (const id of pools.keys()) if (!rowsOf(exchange).some((row) => row.poolid === id)) pools.delete(id);
  if (!isObject(data)) return;
  const members = (Array.isArray(data.members) ? data.members : []).filter(isObject);
  pools.set(name, {
    ...comment(data),
    vms: new Set(members.flatMap((m) => (typeof m.vmid === 'number' ? [m.vmid] : []))),
    storages: new Set(members.flatMap((m) => (typeof m.storage === 'string' ? [m.storage] : []))),
  });
};

/** A token may have got its rights in a call that the recording lacks: taken from the next reading of the ACL, or from the name. */
const readGrants = ({ pve, exchange, index, knowledge }: Scene): void => {
  const caller = callerOf(exchange) ?? '';
  const [, vmid, storage] = /token with ACL on vm (\d+)(?: and storage ([\w-]+))?/.exec(exchange.name) ?? [];
  if (vmid === undefined || caller === '') return;
  const has = (path: string) => pve.world.acl.some((entry) => entry.ugid === caller && entry.path === path);
  const later = knowledge.acls.find((reading) => reading.index >= index)?.value.map(acl) ?? [];
  const add = (path: string, roleid: string): void => {
    if (has(path)) return;
    pve.world.acl.push(
      later.find((entry) => entry.ugid === caller && entry.path === path) ?? {
        path,
        roleid,
        type: 'token',
        ugid: caller,
        propagate: true,
      },
    );
  };
  add(`/vms/${vmid}`, 'PVEVMUser');
  if (storage !== undefined) add(`/storage/${storage}`, 'PVEDatastoreUser');
};

/** A login that succeeded knew the password; one with a second factor says so. */
const login = ({ pve, exchange, session }: Scene): void => {
  const { username = '', realm } = bodyOf(exchange);
  const userid = realm === undefined ? username : `${username}@${realm}`;
  const password = session.password(exchange);
  const data = dataOf(exchange);
  if (exchange.response.status !== 200 || password === undefined) return;
  const user = ensureUser(pve.world, userid);
  user.enable = true;
  if (!password.startsWith('PVE:')) user.password = password;
  user.secondFactor = isObject(data) && data.NeedTFA === 1;
};

export const assumeAccess = (scene: Scene): void => {
  const { exchange, pve, index, knowledge } = scene;
  const [first, kind] = pathOf(exchange);
  const caller = callerOf(exchange);
  if (caller !== undefined && exchange.response.status !== 401) {
    const [userid = '', tokenid] = caller.split('!');
    ensureUser(pve.world, userid);
    if (tokenid !== undefined) ensureToken(scene, userid, tokenid);
  }
  if (first === 'access' && kind === 'ticket') login(scene);
  if (!succeeded(exchange)) return;
  readGrants(scene);
  if (exchange.request.method !== 'GET') return;
  if (first === 'access') readAccess(scene);
  if (first === 'pools') readPools(scene);
  if (first === 'access' && kind === 'permissions' && pve.world.acl.length === 0)
    pve.world.acl = (at(knowledge.acls, index) ?? []).map(acl);
};
