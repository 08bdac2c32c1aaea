/** The whole agent in this process over a simulated node, with guests that ask it over real TLS. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AgentConfig, parseConfig } from '#agent/config';
import { loadRecords, type Records } from '#agent/disks/known/records';
import { systemClock } from '#agent/ports/clock';
import { stateFilesIn } from '#agent/ports/state-files';
import { openStore, type Store } from '#agent/ports/store';
import { startAgent } from '#agent/serve';
import type { DriveSources } from '#agent/serve-drive-evidence';
import type { Bootstrap } from '#shared/bootstrap';
import { type AgentFileOptions, writeAgentConfig } from '../demo/files.ts';
import { startDemoHost } from '../demo/host.ts';
import type { Pve } from '../pve/server.ts';
import { type Address, type Answer, call } from '../stranger/client.ts';
import { askAdmin } from './admin-socket.ts';

export interface Listening {
  /** What the next event of this name says. */
  next(name: string): Promise<unknown>;
  end(): void;
}

export interface DriveAgent {
  pve: Pve;
  dir: string;
  /** Path of agent.yaml. */
  configFile: string;
  /** What it logged. */
  said: string[];
  address(vmid?: number): Address;
  /** As a guest, on a connection of its own. */
  get(path: string, vmid?: number): Promise<Answer>;
  post(path: string, body: unknown, vmid?: number): Promise<Answer>;
  /** Resolves when the guest's stream of events has begun. */
  listen(vmid?: number): Promise<Listening>;
  /** As root on the host. */
  // biome-ignore lint/suspicious/noExplicitAny: the tests read what they need
  admin(method: string, path: string, body?: object): Promise<any>;
  close(): Promise<void>;
}

export interface DriveAgentOptions {
  drives?: DriveSources;
  vmids?: readonly number[];
  disks?: NonNullable<AgentFileOptions['disks']>;
  /** Below the system's own unless told. */
  dir?: string;
  /** What is on record already. */
  seed?: (records: Records, store: Store) => Promise<void>;
}

/** Making a key takes seconds: the first agent's serves for those after it. */
let identity: ReadonlyMap<string, string> | null = null;

const lendIdentity = async ({ stateDir }: AgentConfig): Promise<void> => {
  const files = stateFilesIn(stateDir);
  for (const [name, text] of identity ?? []) await files.write(name, text);
};

const keepIdentity = async ({ stateDir }: AgentConfig): Promise<void> => {
  const files = stateFilesIn(stateDir);
  const pair = await Promise.all(['tls.key', 'tls.crt'].map(async (name) => [name, (await files.read(name)) ?? ''] as const));
  identity ??= new Map(pair);
};

const plant = async ({ stateDir }: AgentConfig, seed: NonNullable<DriveAgentOptions['seed']>): Promise<void> => {
  const store = await openStore(join(stateDir, 'felhom.db'));
  await seed(await loadRecords({ store, clock: systemClock }), store).finally(() => store.close());
};

/** Events as they come, https://html.spec.whatwg.org/multipage/server-sent-events.html. */
const listenAt = ({ host, port, token }: Address): Promise<Listening> =>
  new Promise((resolve, reject) => {
    const waiting: { name: string; tell: (data: unknown) => void }[] = [];
    const heard = (name: string, data: unknown): void => {
      const [first] = waiting.splice(
        waiting.findIndex((one) => one.name === name),
        waiting.some((one) => one.name === name) ? 1 : 0,
      );
      first?.tell(data);
    };
    const listening: Listening = {
      next: (name) => new Promise((tell) => waiting.push({ name, tell })),
      end: () => sent.destroy(),
    };
    const sent = request({
      host,
      port,
      path: '/events',
      rejectUnauthorized: false,
      agent: false,
      headers: { authorization: `Bearer ${token}` },
    });
    sent.once('error', reject);
    sent.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        const blocks = (text + part).split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) {
          const [, name = ''] = /^event: (.*)$/m.exec(block) ?? [];
          const [, data = 'null'] = /^data: (.*)$/m.exec(block) ?? [];
          if (name === 'hello') resolve(listening);
          else heard(name, JSON.parse(data));
        }
      });
    });
    sent.end();
  });

export const startDriveAgent = async ({
  drives = {},
  vmids = [101, 102],
  disks,
  dir,
  seed,
}: DriveAgentOptions = {}): Promise<DriveAgent> => {
  const place = dir ?? mkdtempSync(join(tmpdir(), 'felhom-drives-'));
  const demo = await startDemoHost({ dir: place, vmids, unauthorizedDelayMs: 0 });
  const options = {
    dir: place,
    port: 8443,
    limits: { requests_per_second: 1_000_000, streams: 10 },
    ...(disks ? { disks } : {}),
  };
  const configFile = writeAgentConfig(demo, options);
  const parsed = parseConfig(readFileSync(configFile, 'utf8'));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  const said: string[] = [];
  const journal = (level: string, sentence: string, fields: object = {}) =>
    void said.push(`${level} ${sentence} ${JSON.stringify(fields)}`);
  const config = { ...parsed.config, listen: [{ address: '127.0.0.1', port: 0 }] };
  await lendIdentity(config);
  if (seed !== undefined) await plant(config, seed);
  const agent = await startAgent(config, { journal, drives });
  await keepIdentity(config);
  const admin: DriveAgent['admin'] = (method, path, body) => askAdmin(agent.adminSocket, method, path, body);
  const guests: Bootstrap[] = [];
  for (const vmid of vmids) guests.push((await admin('POST', `/guests/${vmid}/enroll`)).bootstrap);

  const address = (vmid = vmids[0] ?? 0): Address => ({
    host: '127.0.0.1',
    port: agent.listen[0]?.port ?? 0,
    fingerprint: agent.fingerprint,
    token: guests.find((guest) => guest.vmid === vmid)?.token ?? '',
  });
  return {
    ...{ pve: demo.pve, dir: place, configFile, said, address, admin },
    get: (path, vmid) => call(address(vmid), 'GET', path),
    listen: (vmid) => listenAt(address(vmid)),
    post: (path, body, vmid) => call(address(vmid), 'POST', path, body),
    close: async () => {
      await agent.close();
      await demo.pve.close();
      rmSync(place, { recursive: true, force: true });
    },
  };
};
