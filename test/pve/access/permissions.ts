/** The permission algebra: what a user or a token may do on a path (pve-access-control, RPCEnvironment.pm). */

import { splitTokenUser } from '../upid.ts';
import type { Acl, World } from '../world.ts';
import { levels, normalizePath } from './paths.ts';
import { BUILT_IN_ROLES } from './roles.ts';

/** Privilege → whether it also holds below the path. */
export type Privileges = Map<string, boolean>;

/** Role → whether it propagates. */
type Roles = Map<string, boolean>;

const entries = (world: World, path: string, type: Acl['type'], ugids: string[], final: boolean): Roles => {
  const found: Roles = new Map();
  for (const acl of world.acl)
    if (acl.path === path && acl.type === type && ugids.includes(acl.ugid) && (final || acl.propagate))
      found.set(acl.roleid, acl.propagate);
  return found;
};

/** Walks from `/` down: an entry that counts replaces everything inherited; a token's before a user's before the groups'. */
const rolesOn = (world: World, who: string, path: string): Roles => {
  const isToken = who.includes('!');
  let roles: Roles = new Map();
  for (const level of levels(path)) {
    const final = level === path;
    let own = entries(world, level, isToken ? 'token' : 'user', [who], final);
    if (own.size === 0 && !isToken) own = entries(world, level, 'group', world.users.get(who)?.groups ?? [], final);
    if (own.size > 0) roles = own;
  }
  return roles;
};

/** Members of a pool also have the pool's roles, on exactly their own path. */
const poolRoles = (world: World, who: string, path: string): Roles => {
  const [, kind, id] = /^\/(vms|storage)\/([^/]+)$/.exec(path) ?? [];
  const roles: Roles = new Map();
  if (kind === undefined || id === undefined) return roles;
  for (const [name, pool] of world.pools) {
    if (kind === 'vms' ? !pool.vms.has(Number(id)) : !pool.storages.has(id)) continue;
    for (const role of rolesOn(world, who, `/pool/${name}`).keys()) roles.set(role, false);
  }
  return roles;
};

export const rolePrivileges = (world: World, roleid: string): readonly string[] | undefined =>
  BUILT_IN_ROLES[roleid] ?? world.roles.get(roleid);

const grantedByRoles = (world: World, who: string, path: string): Privileges => {
  const roles = new Map([...poolRoles(world, who, path), ...rolesOn(world, who, path)]);
  const privileges: Privileges = new Map();
  if (roles.has('NoAccess')) return privileges;
  for (const [role, propagate] of roles)
    for (const privilege of rolePrivileges(world, role) ?? [])
      privileges.set(privilege, privileges.get(privilege) === true || propagate);
  return privileges;
};

const everything = (world: World): Privileges => new Map((rolePrivileges(world, 'Administrator') ?? []).map((p) => [p, true]));

const ofUser = (world: World, user: string, path: string): Privileges =>
  user === 'root@pam' ? everything(world) : grantedByRoles(world, user, path);

/** A token with privilege separation has what both it and its owner have; the propagate flags are ANDed. */
export const privilegesOn = (world: World, who: string, path: string): Privileges => {
  const normal = normalizePath(path);
  if (normal === undefined) return new Map();
  const { user, tokenid } = splitTokenUser(who);
  if (tokenid === undefined) return ofUser(world, user, normal);
  const token = world.users.get(user)?.tokens[tokenid];
  if (!token) return new Map();
  const owner = ofUser(world, user, normal);
  if (!token.privsep) return owner;
  const own = grantedByRoles(world, who, normal);
  return new Map([...own].filter(([p]) => owner.has(p)).map(([p, propagate]) => [p, propagate && owner.get(p) === true]));
};

const ALWAYS_SHOWN = ['/', '/access', '/access/groups', '/nodes', '/pool', '/sdn', '/storage', '/vms'];

/** What `GET /access/permissions` shows: paths without any privilege are left out. */
export const effectivePermissions = (world: World, who: string): Map<string, Privileges> => {
  const paths = new Set([...ALWAYS_SHOWN, ...world.acl.map((a) => a.path)]);
  for (const pool of world.pools.values()) {
    for (const vmid of pool.vms) paths.add(`/vms/${vmid}`);
    for (const storage of pool.storages) paths.add(`/storage/${storage}`);
  }
  const shown = [...paths].map((path) => [path, privilegesOn(world, who, path)] as const);
  return new Map(shown.filter(([, privileges]) => privileges.size > 0));
};
