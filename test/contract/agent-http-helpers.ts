/** A guest API server over real TLS and a real database, with handlers that tests can replace. */
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { createGuests, type Guests } from '#agent/guests/service';
import { guestHandlers } from '#agent/http/guest-handlers';
import type { GuestHandlers } from '#agent/http/routes';
import { createGuestServer } from '#agent/http/server';
import type { InterfaceAddress } from '#agent/http/source';
import { type Leaf, makeLeaf } from '#agent/ports/certificate';
import { systemClock } from '#agent/ports/clock';
import type { Level } from '#agent/ports/journal';
import type { Proxmox } from '#agent/ports/proxmox';
import { openStore, type Store } from '#agent/ports/store';
import { fingerprintOf } from '#agent/trust/identity';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';

export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: what came over the wire
  json: any;
}

export interface Ask {
  token?: string | undefined;
  method?: string;
  /** Objects are sent as JSON; text as it is. */
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export interface TestAgent {
  port: number;
  /** Of its certificate. */
  fingerprint: string;
  guests: Guests;
  store: Store;
  journal: { level: Level; sentence: string; fields: Record<string, string | number | undefined> | undefined }[];
  limits: { requestsPerSecond: number; streams: number };
  handlers: GuestHandlers;
  ask(path: string, options?: Ask): Promise<Answer>;
  /** Sends bytes over TLS, answers everything that came back until the peer closed. */
  raw(text: string, options?: { keepOpenMs?: number }): Promise<string>;
  enroll(vmid: number): Promise<string>;
  close(): Promise<void>;
}

/** Looks a handler up when it is called, so that tests can replace it. */
const lateBound = (handlers: GuestHandlers): GuestHandlers => {
  const table = handlers as unknown as Record<string, (call: unknown, send: unknown) => unknown>;
  return Object.fromEntries(
    Object.keys(table).map((name) => [name, (call: unknown, send: unknown) => table[name]?.(call, send)]),
  ) as unknown as GuestHandlers;
};

let leaf: Promise<Leaf> | undefined;

export const onNode = (vmid: number) => ({
  vmid,
  type: 'lxc' as const,
  node: 'pve1',
  name: '',
  status: 'running' as const,
  lock: '',
  usedBytes: null,
  diskBytes: null,
});

const unused = (): never => {
  throw new FelhomError('not-known', 'This test has no such service.');
};

export const startTestAgent = async ({
  clock = systemClock,
  limits = { requestsPerSecond: 100_000, streams: 4 },
  address = '127.0.0.1',
  interfaces = () => [{ address: '127.0.0.1', cidr: '127.0.0.1/8' }],
  resources = async () => ({ guests: [onNode(101), onNode(102), onNode(103)], storages: [] }),
}: {
  clock?: Clock;
  /** Proxmox's answer about the guests. */
  resources?: Proxmox['resources'];
  limits?: TestAgent['limits'];
  /** Where it listens. */
  address?: string;
  /** The host's own, as the agent is told. */
  interfaces?: () => InterfaceAddress[];
} = {}): Promise<TestAgent> => {
  leaf ??= makeLeaf('test', ['127.0.0.1']);
  const { key, certificate } = await leaf;
  const directory = await mkdtemp(join(tmpdir(), 'felhom-http-'));
  const store = await openStore(join(directory, 'state', 'felhom.db'));
  const journal: TestAgent['journal'] = [];
  const log = (level: Level, sentence: string, fields?: Record<string, string | number | undefined>) =>
    void journal.push({ level, sentence, fields });
  const guests = await createGuests({
    store,
    proxmox: { node: 'pve1', resources },
    clock,
    journal: log,
    limits: () => limits,
    endpoints: () => [{ address: '127.0.0.1', port: 8443, fingerprints: [fingerprintOf(certificate)] }],
  });
  const agent = {
    version: '0',
    host_scope: 'pve1-x',
    node: 'pve1',
    fingerprints: { now: fingerprintOf(certificate), next: null },
  };
  const handlers = guestHandlers({
    agent,
    disks: { list: unused, assign: unused, eject: unused, format: unused },
    formats: { job: unused },
    ops: { list: unused, grant: unused },
    duty: { due: unused, start: unused },
    backups: { status: unused, reportHeld: unused },
    archives: { list: unused },
    problems: { list: unused },
    events: { follow: unused },
    metrics: { read: unused },
    storage: { list: unused, coverage: unused },
  });
  const server = await createGuestServer({
    listen: [{ address, port: 0 }],
    key,
    certificate,
    guests,
    handlers: lateBound(handlers),
    interfaces,
    clock,
    journal: log,
  });
  const port = server.listen[0]?.port ?? 0;

  return {
    port,
    fingerprint: fingerprintOf(certificate),
    guests,
    store,
    journal,
    limits,
    handlers,
    ask: (path, options) => ask(address, port, path, options),
    raw: (text, options) => raw(port, text, options),
    enroll: async (vmid) => (await guests.enroll(vmid)).bootstrap.token,
    close: async () => {
      await server.close();
      await store.close();
      await rm(directory, { recursive: true });
    },
  };
};

const ask = (
  host: string,
  port: number,
  path: string,
  { token, method = 'GET', body, headers = {}, signal }: Ask = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    const call = request({
      host,
      port,
      path,
      method,
      rejectUnauthorized: false,
      agent: false,
      ...(signal === undefined ? {} : { signal }),
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
        ...headers,
      },
    });
    call.on('error', reject);
    call.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const whole = Buffer.concat(chunks).toString('utf8');
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text: whole, json: parsed(whole) });
      });
    });
    call.end(text);
  });

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

export const raw = (port: number, text: string, { keepOpenMs = 0 } = {}): Promise<string> =>
  new Promise((resolve) => {
    let heard = '';
    const socket: TLSSocket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      socket.write(text);
      if (keepOpenMs > 0) setTimeout(() => socket.destroy(), keepOpenMs);
    });
    socket.on('data', (chunk) => {
      heard += chunk.toString('utf8');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(heard));
  });

/** Whether an answer on the raw socket is an envelope with this code. */
export const envelopeIn = (heard: string): { status: number; json: unknown } => ({
  status: Number(/^HTTP\/1\.1 (\d+)/.exec(heard)?.[1]),
  json: parsed(heard.slice(heard.indexOf('\r\n\r\n') + 4)),
});
