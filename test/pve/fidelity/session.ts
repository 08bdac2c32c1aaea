/** What was masked in the recording or differs between two runs, by its recorded form: secrets, tickets, UPIDs, made-up ids. */

import { randomUUID } from 'node:crypto';
import type { Pve } from '../server.ts';
import { callerOf, decoded, type Exchange, header, isObject, type Json } from './exchange.ts';
import type { Wanted } from './send.ts';

const PASSWORD = '<password>';
const SECRET = '<token-secret>';
/** A masked password longer than this is a ticket sent to be renewed. */
const TICKET_LENGTH = 100;

/** The same length makes the same password, so what was a right login stays one. */
const passwordOf = (length: number): string => 'Passw0rd-'.repeat(Math.ceil(length / 9)).slice(0, Math.max(1, length));

export interface Session {
  /** Replaces recorded ids by those of this run, in any text. */
  translate(text: string): string;
  /** Notes that `recorded` is called `own` here. */
  learn(recorded: string, own: string): void;
  knows(recorded: string): string | undefined;
  /** Keeps a ticket or a CSRF token under its recorded form; texts are not searched for these. */
  keep(recorded: string, own: string): void;
  isOwn(upid: string): boolean;
  /** The request as it has to be sent to this server. */
  prepare(e: Exchange): Wanted;
  /** The length-made password that a request carries. */
  password(e: Exchange): string | undefined;
  secret(tokenName: string): string | undefined;
  /** The ticket that a request needs and that no recorded login has given: its user, and the names it goes by. */
  lacksTicket(e: Exchange): { user: string; ticket: string; csrf: string } | undefined;
}

const multipart = (described: string, boundary: string): Buffer => {
  const [, content = '', filename = '', bytes = '0'] = /content=(\S+)\s+filename=([^,]+), (\d+) bytes/.exec(described) ?? [];
  const part = (head: string, body: string) => `--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n${body}\r\n`;
  const parts = part('name="content"', content) + part(`name="filename"; filename="${filename}"`, 'x'.repeat(Number(bytes)));
  return Buffer.from(`${parts}--${boundary}--\r\n`);
};

export const createSession = (pve: Pve): Session => {
  const names = new Map<string, string>();
  const secrets = new Map<string, string>();

  const secret = (name: string): string | undefined => {
    const [userid = '', tokenid = ''] = name.split('!');
    return pve.world.users.get(userid)?.tokens[tokenid]?.secret;
  };

  const translate = (text: string): string => {
    let result = text;
    for (const [recorded, own] of names) {
      result = result.replaceAll(recorded, own);
      const encoded = encodeURIComponent(recorded);
      result = result
        .replaceAll(encoded, encodeURIComponent(own))
        .replaceAll(encoded.replace(/%21/g, '!'), encodeURIComponent(own));
    }
    return result;
  };

  const maskedLength = (e: Exchange): number => {
    const body = e.request.body ?? '';
    const declared = Number(header(e, 'content-length'));
    return Number.isFinite(declared) && declared > 0 ? declared - (Buffer.byteLength(body) - PASSWORD.length) : 12;
  };

  const wantsRefusal = (e: Exchange): boolean => e.response.status === 401;

  const password = (e: Exchange): string | undefined => {
    if (!(e.request.body ?? '').includes(PASSWORD)) return undefined;
    const length = maskedLength(e);
    const user = /username=([^&]+)/.exec(e.request.body ?? '')?.[1];
    if (length > TICKET_LENGTH && user !== undefined) return secrets.get(`ticket of ${decoded(user)}`) ?? passwordOf(length);
    return passwordOf(length);
  };

  const authorization = (e: Exchange, value: string): string => {
    const caller = callerOf(e);
    const known = caller === undefined ? undefined : secret(caller);
    // Refused although the token is good: what was masked cannot have been its secret.
    const wrong =
      wantsRefusal(e) && e.response.reason === 'Authentication failed!' && /^PVEAPIToken[= ][^=]+=<token-secret>$/.test(value);
    return value.replace(SECRET, known === undefined || wrong ? randomUUID() : known);
  };

  const ticketOf = (value: string): string => {
    const plain = decoded(value);
    const user = /PVE:([^:]+):/.exec(plain)?.[1] ?? '';
    return (
      secrets.get(/PVE:[^:]+:[0-9A-F]{8}/.exec(plain)?.[0] ?? '') ??
      (plain.includes(':00000000:') ? '' : (secrets.get(`ticket of ${user}`) ?? ''))
    );
  };

  const headersFor = (e: Exchange): Record<string, string> => {
    const headers: Record<string, string> = { connection: 'close' };
    for (const [name, raw] of Object.entries(e.request.headers ?? {})) {
      const value = String(raw);
      const key = name.toLowerCase();
      if (key === 'content-length') continue;
      if (key === 'authorization' && value.startsWith('PVEAuthCookie='))
        headers[key] = `PVEAuthCookie=${ticketOf(value) || value.slice(14)}`;
      else if (key === 'authorization') headers[key] = authorization(e, value);
      else if (key === 'cookie')
        headers[key] = ticketOf(value) === '' ? value : `PVEAuthCookie=${encodeURIComponent(ticketOf(value))}`;
      else if (key === 'csrfpreventiontoken') headers[key] = secrets.get(`csrf ${value}`) ?? value;
      else headers[key] = value;
    }
    return headers;
  };

  const bodyFor = (e: Exchange): Buffer | undefined => {
    const body = e.request.body;
    if (body === undefined) return undefined;
    if (body.startsWith('(multipart:')) return multipart(body, /boundary=(.+)$/.exec(header(e, 'content-type'))?.[1] ?? 'b');
    return Buffer.from(translate(body.replace(PASSWORD, encodeURIComponent(password(e) ?? ''))));
  };

  return {
    translate,
    learn: (recorded, own) => names.set(recorded, own),
    knows: (recorded) => names.get(recorded),
    isOwn: (upid) => [...names.values()].includes(upid),
    keep: (recorded, own) => secrets.set(recorded, own),
    password,
    secret,
    lacksTicket: (e) => {
      const plain = decoded(header(e, 'cookie') || header(e, 'authorization'));
      const [ticket, user = ''] = /PVE:([^:!]+@[^:]+):[0-9A-F]{8}/.exec(plain) ?? [];
      const refused = e.response.reason === 'Authentication failed!';
      return ticket === undefined || refused || secrets.has(ticket)
        ? undefined
        : { user, ticket, csrf: header(e, 'csrfpreventiontoken') };
    },
    prepare: (e) => {
      const body = bodyFor(e);
      const headers = headersFor(e);
      if (body !== undefined) headers['content-length'] = String(body.length);
      return { method: e.request.method, path: translate(e.request.path), headers, ...(body === undefined ? {} : { body }) };
    },
  };
};

const UPID = /^UPID:/;

/** Learns from an answer what the recorded one calls differently: the task's UPID, a ticket, a made-up id. */
export const learnFrom = (session: Session, want: Json | undefined, got: Json | undefined): void => {
  if (typeof want === 'string' && typeof got === 'string' && UPID.test(want) && UPID.test(got)) session.learn(want, got);
  if (!isObject(want) || !isObject(got)) return;
  if (typeof want.ticket === 'string' && typeof got.ticket === 'string') {
    session.keep(/PVE:[^:]+:[0-9A-F]{8}/.exec(want.ticket)?.[0] ?? want.ticket, got.ticket);
    session.keep(`ticket of ${String(got.username)}`, got.ticket);
    session.keep(`csrf ${String(want.CSRFPreventionToken)}`, String(got.CSRFPreventionToken));
  }
};
