/** Reading users, tokens, groups, roles, realms, the ACL, and what someone may do. */

import { effectivePermissions, type Privileges, privilegesOn, rolePrivileges } from '../access/permissions.ts';
import { BUILT_IN_ROLES } from '../access/roles.ts';
import { died, permissionError } from '../api/errors.ts';
import { type Area, bit, type Call, flag, optional, param } from '../sim.ts';
import type { User, World } from '../world.ts';

export const existingUser = (world: World, userid: string): User => {
  const user = world.users.get(userid);
  if (!user) throw died(`no such user ('${userid}')`);
  return user;
};

type Token = User['tokens'][string];

const tokenInfo = (token: Token): Record<string, unknown> => ({
  expire: token.expire,
  privsep: bit(token.privsep),
  ...(token.comment === undefined ? {} : { comment: token.comment }),
});

const tokenRows = (user: User): Record<string, unknown>[] =>
  Object.entries(user.tokens).map(([tokenid, token]) => ({ tokenid, ...tokenInfo(token) }));

export const REALMS: readonly { realm: string; type: string; comment: string }[] = [
  { realm: 'pam', type: 'pam', comment: 'Linux PAM standard authentication' },
  { realm: 'pve', type: 'pve', comment: 'Proxmox VE authentication server' },
];

/** Others' data needs rights on their groups, and never the token itself its owner's. */
const seesUser = (call: Call, user: User): boolean => {
  const privileges = ['User.Modify', 'Sys.Audit'];
  const { who } = call;
  if (user.userid === who.name || who.may('/access/groups', privileges, 'any')) return true;
  return user.groups.some((group) => who.may(`/access/groups/${group}`, privileges, 'any'));
};

const userRow = (call: Call, user: User): Record<string, unknown> => {
  const realm = REALMS.find((r) => r.realm === user.userid.split('@').pop());
  const tokens = tokenRows(user);
  return {
    ...user.extra,
    userid: user.userid,
    enable: bit(user.enable),
    expire: user.expire,
    ...(realm ? { 'realm-type': realm.type } : {}),
    ...(flag(call, 'full') ? { groups: user.groups.join(','), tokens: tokens.length > 0 ? tokens : null } : {}),
  };
};

const users = (call: Call) => {
  const enabled = optional(call, 'enabled');
  return [...call.world.users.values()]
    .filter((user) => seesUser(call, user) && (enabled === undefined || bit(user.enable) === Number(enabled)))
    .sort((a, b) => (a.userid < b.userid ? -1 : 1))
    .map((user) => userRow(call, user));
};

const user = (call: Call) => {
  const found = existingUser(call.world, param(call, 'userid'));
  const tokens = Object.fromEntries(Object.entries(found.tokens).map(([id, token]) => [id, tokenInfo(token)]));
  return {
    ...found.extra,
    enable: bit(found.enable),
    expire: found.expire,
    groups: found.groups,
    ...(Object.keys(tokens).length > 0 ? { tokens } : {}),
  };
};

export const existingToken = (call: Call): Token => {
  const userid = param(call, 'userid');
  const tokenid = param(call, 'tokenid');
  const token = existingUser(call.world, userid).tokens[tokenid];
  if (!token) throw died(`no such token '${tokenid}' for user '${userid}'`);
  return token;
};

const groupRows = (call: Call) =>
  [...call.world.groups].flatMap(([groupid, group]) => {
    if (
      !call.who.may('/access/groups', ['User.Modify', 'Sys.Audit', 'Group.Allocate'], 'any') &&
      !call.who.may(`/access/groups/${groupid}`, ['User.Modify', 'Sys.Audit', 'Group.Allocate'], 'any')
    )
      return [];
    return [
      {
        groupid,
        users: members(call.world, groupid).join(','),
        ...(group.comment === undefined ? {} : { comment: group.comment }),
      },
    ];
  });

const members = (world: World, groupid: string): string[] =>
  [...world.users.values()].filter((u) => u.groups.includes(groupid)).map((u) => u.userid);

const group = (call: Call) => {
  const id = param(call, 'groupid');
  const found = call.world.groups.get(id);
  if (!found) throw died(`group '${id}' does not exist`);
  return { members: members(call.world, id), ...(found.comment === undefined ? {} : { comment: found.comment }) };
};

const roles = (call: Call) => {
  const own = [...call.world.roles].map(([roleid, privs]) => ({ roleid, privs: [...privs].sort().join(','), special: 0 }));
  const builtIn = Object.entries(BUILT_IN_ROLES).map(([roleid, privs]) => ({
    roleid,
    privs: [...privs].sort().join(','),
    special: 1,
  }));
  return [...builtIn, ...own];
};

const role = (call: Call) => {
  const id = param(call, 'roleid');
  const privileges = rolePrivileges(call.world, id);
  if (!privileges) throw died(`role '${id}' does not exist`);
  return Object.fromEntries(privileges.map((p) => [p, 1]));
};

/** Whoever may change permissions on a path sees its entries. */
const acl = (call: Call) =>
  call.world.acl
    .filter(
      (entry) =>
        call.who.may('/access', ['Sys.Audit', 'Permissions.Modify'], 'any') || call.who.may(entry.path, 'Permissions.Modify'),
    )
    .map((entry) => ({
      path: entry.path,
      roleid: entry.roleid,
      type: entry.type,
      ugid: entry.ugid,
      propagate: bit(entry.propagate),
    }));

const shown = (privileges: Privileges) => Object.fromEntries([...privileges].map(([p, propagate]) => [p, bit(propagate)]));

/** One's own, a token's own, or with Sys.Audit on `/access` anyone's. */
const permissions = (call: Call) => {
  const { world, who } = call;
  const whose = optional(call, 'userid') ?? who.name;
  const own = whose === who.name || (who.tokenid === undefined && whose.startsWith(`${who.user}!`));
  if (!own) who.demand('/access', 'Sys.Audit');
  const [userid = '', tokenid] = whose.split('!');
  const found = existingUser(world, userid);
  if (tokenid !== undefined && !found.tokens[tokenid]) throw died(`no such token '${tokenid}' for user '${userid}'`);
  const path = optional(call, 'path');
  if (path !== undefined) {
    const privileges = privilegesOn(world, whose, path);
    return { [path]: shown(privileges) };
  }
  return Object.fromEntries([...effectivePermissions(world, whose)].map(([p, privileges]) => [p, shown(privileges)]));
};

const realm = (call: Call) => {
  const name = param(call, 'realm');
  const found = REALMS.find((r) => r.realm === name);
  if (!found) throw died(`domain '${name}' does not exist`);
  const { realm: _name, ...rest } = found;
  return { ...rest, digest: '0'.repeat(40) };
};

/** A token may be read by its owner and by who may see the owner. */
const demandTokens = (call: Call): void => {
  const found = call.world.users.get(param(call, 'userid'));
  if (found && !seesUser(call, found)) throw permissionError();
};

export const access: Area = {
  'GET /access/users': users,
  'GET /access/users/{userid}': user,
  'GET /access/users/{userid}/token': (call) => {
    demandTokens(call);
    return tokenRows(existingUser(call.world, param(call, 'userid')));
  },
  'GET /access/users/{userid}/token/{tokenid}': (call) => tokenInfo(existingToken(call)),
  'GET /access/groups': groupRows,
  'GET /access/groups/{groupid}': group,
  'GET /access/roles': roles,
  'GET /access/roles/{roleid}': role,
  'GET /access/acl': acl,
  'GET /access/permissions': permissions,
  'GET /access/domains': () => REALMS,
  'GET /access/domains/{realm}': realm,
  'GET /access/ticket': () => null,
};
