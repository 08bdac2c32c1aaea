/** Login tickets `PVE:user@realm:HEXTIME::signature` and their CSRF tokens `HEXTIME:signature`. */

import { createHmac, randomBytes } from 'node:crypto';

const LIFETIME_S = 2 * 60 * 60;
/** How far a ticket's time may lie ahead. */
const SKEW_S = 5 * 60;

export interface Tickets {
  issue(user: string, now: number): { ticket: string; csrf: string };
  /** A ticket that only answers the challenge of a second factor. */
  issueChallenge(user: string, now: number): { ticket: string; csrf: string };
  verify(ticket: string, now: number): string | undefined;
  verifyCsrf(token: string, user: string, now: number): boolean;
}

export const createTickets = (): Tickets => {
  const key = randomBytes(32);
  const sign = (text: string): string => createHmac('sha512', key).update(text).digest('base64');
  const stamp = (now: number): string => now.toString(16).toUpperCase().padStart(8, '0');
  const fresh = (hex: string, now: number): boolean => {
    const age = now - Number.parseInt(hex, 16);
    return age > -SKEW_S && age < LIFETIME_S;
  };
  const csrfFor = (user: string, now: number): string => `${stamp(now)}:${sign(`csrf:${stamp(now)}:${user}`).slice(0, 43)}`;
  const sealed = (plain: string): string => `${plain}::${sign(plain)}`;
  return {
    issue: (user, now) => ({ ticket: sealed(`PVE:${user}:${stamp(now)}`), csrf: csrfFor(user, now) }),
    issueChallenge: (user, now) => ({ ticket: sealed(`PVE:!tfa!{"totp"%3Atrue}:${stamp(now)}`), csrf: csrfFor(user, now) }),
    verify: (ticket, now) => {
      const [, plain = '', user = '', hex = '', signature] = /^(PVE:([^:]+):([0-9A-F]{8}))::(.+)$/.exec(ticket) ?? [];
      return signature === sign(plain) && user.includes('@') && fresh(hex, now) ? user : undefined;
    },
    verifyCsrf: (token, user, now) => {
      const [, hex = '', signature] = /^([0-9A-F]{8}):(.+)$/.exec(token) ?? [];
      return signature !== undefined && signature === sign(`csrf:${hex}:${user}`).slice(0, 43) && fresh(hex, now);
    },
  };
};
