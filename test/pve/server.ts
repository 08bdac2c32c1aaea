/** Starts the simulated Proxmox VE node: its API over HTTPS on loopback, and the files the agent reads beside it. */

import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { createTickets } from './access/tickets.ts';
import { createApp, type LoggedRequest } from './app.ts';
import { makeCertificate, writeCertificate } from './certificate.ts';
import { createWorld } from './defaults.ts';
import { createFaults, type Faults } from './faults.ts';
import { nodeFiles, writeConfigFiles } from './files.ts';
import { startListener } from './http/listener.ts';
import type { Sim } from './sim.ts';
import { createTasks } from './tasks.ts';
import { createVzdump, type VzdumpFaults } from './vzdump/vzdump.ts';
import type { NodeFiles, World } from './world.ts';

export interface PveOptions {
  /** Everything the node keeps on disk goes below this directory, which must exist. */
  dir: string;
  /** 0 or absent: a free one. */
  port?: number;
  node?: string;
  /** Every 401 is held back; 3000 as on a real server. */
  unauthorizedDelayMs?: number;
  /** Milliseconds since 1970. */
  clock?: () => number;
  /** The pause before each line of vzdump. */
  lineDelayMs?: number;
  /** Changes the world before the first request. */
  world?: (world: World) => void;
}

export interface Pve {
  readonly endpoint: string;
  readonly port: number;
  /** SHA-256 of the certificate, 64 lower-case hex digits. */
  readonly fingerprint: string;
  readonly node: string;
  readonly files: NodeFiles;
  readonly world: World;
  /** The last requests received, newest last. */
  readonly requests: LoggedRequest[];
  readonly faults: Faults;
  readonly vzdumpFaults: VzdumpFaults;
  /** May be changed at any time. */
  readonly speed: { lineDelayMs: number };
  /** Answers `user@realm!name=secret`; the user is made when it is not there. */
  addToken(userid: string, tokenid: string, options?: { privsep?: boolean }): string;
  /** A vzdump that felhom did not start: root@pam's, as by a backup job, the interface or the console. Answers the UPID. */
  startForeignVzdump(
    params: { vmid: number | readonly number[] } | { all: 1 },
    options?: Record<string, string | number>,
  ): string;
  /** Kills a task's worker, as the kernel does that is out of memory: no TASK line, nothing cleaned up. */
  killTask(upid: string): Promise<void>;
  /** Null: removes it. */
  setGuestLock(vmid: number, lock: string | null): void;
  /** Settles when a task's worker has ended. */
  taskEnded(upid: string): Promise<void>;
  /** Writes the stand-in for `/etc/pve` anew, after a test changed the world. */
  writeConfigFiles(): void;
  close(): Promise<void>;
}

export const startPve = async (options: PveOptions): Promise<Pve> => {
  const { dir, node = 'pve1', clock = Date.now, unauthorizedDelayMs = 3000 } = options;
  const files = nodeFiles(dir);
  const world = createWorld(node, dir);
  options.world?.(world);
  for (const storage of world.storages.values())
    if (storage.active && String(storage.config.path ?? '').startsWith(dir))
      mkdirSync(String(storage.config.path), { recursive: true });
  const saved = (): void => writeConfigFiles(world, files);
  saved();
  const certificate = makeCertificate(node);
  writeCertificate(certificate, node, files);

  const tasks = createTasks(world, files, clock);
  const speed = { lineDelayMs: options.lineDelayMs ?? 0 };
  const vzdump = createVzdump({ world, files, tasks, clock, lineDelayMs: () => speed.lineDelayMs, saved });
  const hang = (): Promise<never> => new Promise(() => {});
  const sim: Sim = {
    world,
    files,
    tasks,
    tickets: createTickets(),
    vzdump,
    certificate,
    clock,
    startedAtMs: clock(),
    hang,
    saved,
  };

  const faults = createFaults(
    { get: () => world.pvestatdReported, set: (reported) => (world.pvestatdReported = reported) },
    async (refuseForMs) => {
      await listener.shut();
      await new Promise((resolve) => setTimeout(resolve, refuseForMs));
      if (!closed) await listener.open();
    },
  );
  const app = createApp(sim, faults, unauthorizedDelayMs);
  const listener = await startListener(app, certificate, options.port ?? 0);
  let closed = false;

  return {
    endpoint: `https://127.0.0.1:${listener.port}`,
    port: listener.port,
    fingerprint: certificate.fingerprint,
    node,
    files,
    world,
    requests: app.requests,
    faults,
    vzdumpFaults: vzdump.faults,
    speed,
    addToken: (userid, tokenid, { privsep = true } = {}) => {
      const user = world.users.get(userid) ?? { userid, enable: true, expire: 0, groups: [], extra: {}, tokens: {} };
      const secret = randomUUID();
      user.tokens[tokenid] = { secret, privsep, expire: 0 };
      world.users.set(userid, user);
      return `${userid}!${tokenid}=${secret}`;
    },
    startForeignVzdump: (params, more) => {
      const which = 'all' in params ? params : { vmid: String(params.vmid) };
      return vzdump.start({ ...which, mode: 'snapshot', compress: 'zstd', ...more }, { user: 'root@pam', may: () => true });
    },
    killTask: tasks.kill,
    setGuestLock: (vmid, lock) => {
      const guest = world.guests.get(vmid);
      if (!guest) throw new Error(`no guest ${vmid}`);
      if (lock === null) delete guest.config.lock;
      else guest.config.lock = lock;
      saved();
    },
    taskEnded: tasks.ended,
    writeConfigFiles: saved,
    close: async () => {
      closed = true;
      await Promise.all([tasks.stopAll(), listener.shut()]);
      app.close();
    },
  };
};
