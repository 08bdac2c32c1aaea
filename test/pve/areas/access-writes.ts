/** Changing users, tokens, groups, roles and the ACL. */

import { randomUUID } from 'node:crypto';
import { aclPathAllowed, normalizePath } from '../access/paths.ts';
import { rolePrivileges } from '../access/permissions.ts';
import { BUILT_IN_ROLES } from '../access/roles.ts';
import { died, parameterError } from '../api/errors.ts';
import { splitList } from '../api/formats.ts';
import { type Area, bit, type Call, flag, integer, optional, param } from '../sim.ts';
import type { Acl, User } from '../world.ts';
import { existingToken, existingUser } from './access.ts';

const EXTRA = ['comment', 'email', 'firstname', 'lastname', 'keys'];

/** The fields a call gives, and nothing for those it leaves away. */
const apply = (call: Call, user: User): void => {
  for (const key of EXTRA) {
    const value = optional(call, key);
    if (value !== undefined) user.extra[key] = value;
  }
  if (optional(call, 'enable') !== undefined) user.enable = flag(call, 'enable');
  user.expire = integer(call, 'expire') ?? user.expire;
  const groups = optional(call, 'groups');
  if (groups !== undefined) user.groups = [...new Set([...(flag(call, 'append') ? user.groups : []), ...splitList(groups)])];
};

const createUser = (call: Call): null => {
  const userid = param(call, 'userid');
  if (call.world.users.has(userid)) throw died(`create user failed: user '${userid}' already exists`);
  const password = optional(call, 'password');
  const user: User = {
    userid,
    enable: true,
    expire: 0,
    groups: [],
    extra: {},
    tokens: {},
    ...(password === undefined ? {} : { password }),
  };
  apply(call, user);
  call.world.users.set(userid, user);
  return null;
};

const updateUser = (call: Call): null => {
  apply(call, existingUser(call.world, param(call, 'userid')));
  return null;
};

const forget = (call: Call, mentions: (entry: Acl) => boolean): void => {
  call.world.acl = call.world.acl.filter((entry) => !mentions(entry));
};

const deleteUser = (call: Call): null => {
  const { userid } = existingUser(call.world, param(call, 'userid'));
  call.world.users.delete(userid);
  forget(call, (entry) => entry.ugid === userid || entry.ugid.startsWith(`${userid}!`));
  return null;
};

const changePassword = (call: Call): null => {
  existingUser(call.world, param(call, 'userid')).password = param(call, 'password');
  return null;
};

/** What the call gave comes back as it was sent; the default is a number. */
const tokenInfo = (call: Call): Record<string, unknown> => {
  const given = ['comment', 'expire', 'privsep'].flatMap((key) =>
    optional(call, key) === undefined ? [] : [[key, optional(call, key)] as const],
  );
  return { privsep: 1, ...Object.fromEntries(given) };
};

const createToken = (call: Call) => {
  const user = existingUser(call.world, param(call, 'userid'));
  const tokenid = param(call, 'tokenid');
  if (user.tokens[tokenid]) throw parameterError({ tokenid: 'Token already exists.' });
  const secret = randomUUID();
  const comment = optional(call, 'comment');
  user.tokens[tokenid] = {
    secret,
    privsep: optional(call, 'privsep') !== '0',
    expire: integer(call, 'expire') ?? 0,
    ...(comment === undefined ? {} : { comment }),
  };
  return { 'full-tokenid': `${user.userid}!${tokenid}`, info: tokenInfo(call), value: secret };
};

const updateToken = (call: Call) => {
  const token = existingToken(call);
  if (optional(call, 'privsep') !== undefined) token.privsep = flag(call, 'privsep');
  token.expire = integer(call, 'expire') ?? token.expire;
  token.comment = optional(call, 'comment') ?? token.comment ?? '';
  if (token.comment === '') delete token.comment;
  if (flag(call, 'regenerate')) token.secret = randomUUID();
  return {
    expire: token.expire,
    privsep: bit(token.privsep),
    ...(token.comment === undefined ? {} : { comment: token.comment }),
    ...(flag(call, 'regenerate')
      ? { 'full-tokenid': `${param(call, 'userid')}!${param(call, 'tokenid')}`, value: token.secret }
      : {}),
  };
};

const deleteToken = (call: Call): null => {
  existingToken(call);
  const [userid, tokenid] = [param(call, 'userid'), param(call, 'tokenid')];
  delete existingUser(call.world, userid).tokens[tokenid];
  forget(call, (entry) => entry.ugid === `${userid}!${tokenid}`);
  return null;
};

const existingGroup = (call: Call, failing: string): string => {
  const id = param(call, 'groupid');
  if (!call.world.groups.has(id)) throw died(`${failing}: group '${id}' does not exist`);
  return id;
};

const comment = (call: Call): { comment?: string } => {
  const value = optional(call, 'comment');
  return value === undefined ? {} : { comment: value };
};

const createGroup = (call: Call): null => {
  const id = param(call, 'groupid');
  if (call.world.groups.has(id)) throw died(`create group failed: group '${id}' already exists`);
  call.world.groups.set(id, comment(call));
  return null;
};

const updateGroup = (call: Call): null => {
  call.world.groups.set(existingGroup(call, 'update group failed'), comment(call));
  return null;
};

const deleteGroup = (call: Call): null => {
  const id = existingGroup(call, 'delete group failed');
  call.world.groups.delete(id);
  for (const user of call.world.users.values()) user.groups = user.groups.filter((group) => group !== id);
  forget(call, (entry) => entry.type === 'group' && entry.ugid === id);
  return null;
};

const createRole = (call: Call): null => {
  const id = param(call, 'roleid');
  if (rolePrivileges(call.world, id)) throw died(`create role failed: role '${id}' already exists`);
  call.world.roles.set(id, splitList(param(call, 'privs')));
  return null;
};

const ownRole = (call: Call, what: string, verb: string): string => {
  const id = param(call, 'roleid');
  if (BUILT_IN_ROLES[id]) throw died(`auto-generated role '${id}' cannot be ${verb}`);
  if (!call.world.roles.has(id)) throw died(`${what} role failed: role '${id}' does not exist`);
  return id;
};

const updateRole = (call: Call): null => {
  const id = ownRole(call, 'update', 'modified');
  const before = flag(call, 'append') ? (call.world.roles.get(id) ?? []) : [];
  call.world.roles.set(id, [...new Set([...before, ...splitList(param(call, 'privs'))])]);
  return null;
};

const deleteRole = (call: Call): null => {
  const id = ownRole(call, 'delete', 'deleted');
  call.world.roles.delete(id);
  forget(call, (entry) => entry.roleid === id);
  return null;
};

/** Whom an ACL call names, each with what must exist. */
const subjects = (call: Call): { type: Acl['type']; ugid: string }[] => {
  const { world } = call;
  const named = (key: string) => splitList(param(call, key));
  for (const id of named('groups')) if (!world.groups.has(id)) throw died(`ACL update failed: group '${id}' does not exist`);
  for (const id of named('users')) if (!world.users.has(id)) throw died(`ACL update failed: user '${id}' does not exist`);
  for (const id of named('tokens')) {
    const [userid = '', tokenid = ''] = id.split('!');
    if (!world.users.get(userid)?.tokens[tokenid])
      throw died(`ACL update failed: no such token '${tokenid}' for user '${userid}'`);
  }
  return [
    ...named('groups').map((ugid) => ({ type: 'group' as const, ugid })),
    ...named('users').map((ugid) => ({ type: 'user' as const, ugid })),
    ...named('tokens').map((ugid) => ({ type: 'token' as const, ugid })),
  ];
};

const updateAcl = (call: Call): null => {
  const asked = param(call, 'path');
  if (['users', 'groups', 'tokens'].every((key) => optional(call, key) === undefined)) {
    const problem = 'property is missing and it is not optional';
    throw parameterError({ users: problem, groups: problem, tokens: problem });
  }
  const path = asked.startsWith('/') ? normalizePath(asked) : undefined;
  if (path === undefined || !aclPathAllowed(path)) throw parameterError({ path: `invalid ACL path '${asked}'` });
  const propagate = optional(call, 'propagate') !== '0';
  for (const roleid of splitList(param(call, 'roles'))) {
    if (!rolePrivileges(call.world, roleid)) throw died(`ACL update failed: role '${roleid}' does not exist`);
    for (const { type, ugid } of subjects(call)) {
      forget(call, (e) => e.path === path && e.roleid === roleid && e.type === type && e.ugid === ugid);
      if (!flag(call, 'delete')) call.world.acl.push({ path, roleid, type, ugid, propagate });
    }
  }
  return null;
};

export const accessWrites: Area = {
  'POST /access/users': createUser,
  'PUT /access/users/{userid}': updateUser,
  'DELETE /access/users/{userid}': deleteUser,
  'PUT /access/password': changePassword,
  'POST /access/users/{userid}/token/{tokenid}': createToken,
  'PUT /access/users/{userid}/token/{tokenid}': updateToken,
  'DELETE /access/users/{userid}/token/{tokenid}': deleteToken,
  'POST /access/groups': createGroup,
  'PUT /access/groups/{groupid}': updateGroup,
  'DELETE /access/groups/{groupid}': deleteGroup,
  'POST /access/roles': createRole,
  'PUT /access/roles/{roleid}': updateRole,
  'DELETE /access/roles/{roleid}': deleteRole,
  'PUT /access/acl': updateAcl,
};
