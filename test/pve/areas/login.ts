/** Logging in: tickets for passwords, and what the ticket's owner may do at a glance. */

import { privilegesOn } from '../access/permissions.ts';
import { ApiError } from '../api/errors.ts';
import { type Area, type Call, optional, param } from '../sim.ts';

const failed = (): ApiError => new ApiError(401, 'authentication failure\n');

/** Where the web interface looks for rights, and which ones it wants to know there. */
const AREAS: Record<string, { path: string; wants: RegExp }> = {
  vms: { path: '/vms', wants: /^(?:VM\.|Permissions\.Modify$)/ },
  storage: { path: '/storage', wants: /^(?:Datastore\.|Permissions\.Modify$)/ },
  access: { path: '/access', wants: /^(?:User\.Modify|Group\.Allocate|Permissions\.Modify)$/ },
  nodes: { path: '/nodes', wants: /^(?:Sys\.|Permissions\.Modify$)/ },
  mapping: { path: '/mapping', wants: /^(?:Mapping\.|Permissions\.Modify$)/ },
  sdn: { path: '/sdn', wants: /^(?:SDN\.|Permissions\.Modify$)/ },
  dc: { path: '/', wants: /^(?:Sys\.(?:Audit|Modify)|SDN\..*)$/ },
};

const capabilities = (call: Call, user: string): Record<string, Record<string, number>> =>
  Object.fromEntries(
    Object.entries(AREAS).map(([area, { path, wants }]) => {
      const held = [...privilegesOn(call.world, user, path).keys()].filter((privilege) => wants.test(privilege));
      return [area, Object.fromEntries(held.map((privilege) => [privilege, 1]))];
    }),
  );

/** A valid ticket in place of the password renews it. */
const passwordFits = (call: Call, userid: string, given: string): boolean => {
  if (given.startsWith('PVE:')) return call.sim.tickets.verify(given, call.now) === userid;
  const { password } = call.world.users.get(userid) ?? {};
  return password !== undefined && password === given;
};

const login = (call: Call): Record<string, unknown> => {
  const realm = optional(call, 'realm');
  const name = param(call, 'username');
  const userid = realm === undefined || name.includes('@') ? name : `${name}@${realm}`;
  const user = call.world.users.get(userid);
  const expired = user !== undefined && user.expire !== 0 && user.expire <= call.now;
  if (!user?.enable || expired || !passwordFits(call, userid, param(call, 'password'))) throw failed();
  call.world.log = [
    ...(call.world.log ?? []),
    { time: call.now, pri: 6, tag: 'pvedaemon', user: 'root@pam', msg: `successful auth for user '${userid}'` },
  ];
  if (user.secondFactor) {
    const { ticket, csrf } = call.sim.tickets.issueChallenge(userid, call.now);
    return { username: userid, ticket, CSRFPreventionToken: csrf, NeedTFA: 1 };
  }
  const { ticket, csrf } = call.sim.tickets.issue(userid, call.now);
  return { username: userid, ticket, CSRFPreventionToken: csrf, cap: capabilities(call, userid) };
};

export const loginArea: Area = { 'POST /access/ticket': login };
