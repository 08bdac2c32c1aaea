/** From a request's headers to a user: tickets before tokens, and the reason of each 401. */

import type { World } from '../world.ts';
import type { Tickets } from './tickets.ts';

export class Unauthorized extends Error {}

const NO_TICKET = 'No ticket';
const FAILED = 'Authentication failed!';

const decode = (value: string): string => {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
};

const cookieTicket = (cookie: string): string | undefined => {
  const found = /(?:^|\s)PVEAuthCookie=([^;]*)/.exec(cookie)?.[1];
  return found ? decode(found) : undefined;
};

const headerCredential = (scheme: string, header: string): string | undefined => {
  const found = new RegExp(`(?:^|\\s)${scheme}(?:=| )([^;]*)`).exec(header)?.[1];
  return found ? decode(found) : undefined;
};

const usable = (world: World, userid: string, now: number): boolean => {
  const user = world.users.get(userid);
  return user?.enable === true && (user.expire === 0 || user.expire > now);
};

const TOKEN = /^([^\s:/]+@[A-Za-z][A-Za-z0-9.\-_]+)!([A-Za-z][A-Za-z0-9.\-_]+)=(.*)$/;

const byToken = (world: World, credential: string, now: number): string => {
  const [, userid = '', tokenid = '', secret] = TOKEN.exec(credential) ?? [];
  const token = world.users.get(userid)?.tokens[tokenid];
  const expired = token !== undefined && token.expire !== 0 && token.expire <= now;
  if (!token || expired || token.secret !== secret || !usable(world, userid, now)) throw new Unauthorized(FAILED);
  return `${userid}!${tokenid}`;
};

export interface Credentials {
  cookie: string;
  authorization: string;
  csrf: string;
  method: string;
}

/** The user's or token's name; throws Unauthorized with the reason phrase. */
export const authenticate = (world: World, tickets: Tickets, c: Credentials, now: number): string => {
  const ticket = cookieTicket(c.cookie) ?? headerCredential('PVEAuthCookie', c.authorization);
  if (ticket !== undefined) {
    const user = tickets.verify(ticket, now);
    if (user === undefined || !usable(world, user, now)) throw new Unauthorized(FAILED);
    if (c.method !== 'GET' && !tickets.verifyCsrf(c.csrf, user, now))
      throw new Unauthorized('Permission denied - invalid csrf token');
    return user;
  }
  const token = headerCredential('PVEAPIToken', c.authorization);
  if (token === undefined) throw new Unauthorized(NO_TICKET);
  return byToken(world, token, now);
};
