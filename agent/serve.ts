/** The agent, put together: ports, services, servers; taken down in the reverse order. */
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '#shared/clock';
import { type AgentConfig, compareConfigs } from './config.ts';
import { loadRecords } from './disks/known/records.ts';
import { createEnrolment } from './guests/enrolment.ts';
import { createGuests } from './guests/service.ts';
import { loadProblems } from './health/problems.ts';
import { createAdminServer } from './http/admin.ts';
import { adminHandlers } from './http/admin-handlers.ts';
import { createEventHub } from './http/event-hub.ts';
import { guestHandlers } from './http/guest-handlers.ts';
import { createGuestServer } from './http/server.ts';
import { reachedAt } from './http/source.ts';
import { createMetrics } from './metrics/service.ts';
import { createBootTime } from './ports/boot-time.ts';
import { makeLeaf } from './ports/certificate.ts';
import { systemClock } from './ports/clock.ts';
import { runCommand } from './ports/command.ts';
import { type Journal, systemJournal } from './ports/journal.ts';
import { nodeFingerprint, nodeNameIn } from './ports/node-files.ts';
import { createProc } from './ports/proc.ts';
import { createProxmox } from './ports/proxmox-http.ts';
import { stateFilesIn } from './ports/state-files.ts';
import { openStore } from './ports/store.ts';
import { createSysfs } from './ports/sysfs.ts';
import { createThinPools } from './ports/thin-pools.ts';
import { readTokenFile } from './ports/token-file.ts';
import { createZpool } from './ports/zpool.ts';
import { composeBackups } from './serve-backups.ts';
import { composeDisks } from './serve-disks.ts';
import type { DriveSources } from './serve-drive-evidence.ts';
import { composeGuestDirectories } from './serve-guest-drives.ts';
import { composeOps, composeTrust } from './serve-ops.ts';
import { createNodeView } from './storage/node-view.ts';
import { createGuestStorage } from './storage/service.ts';
import { ensureIdentity } from './trust/identity.ts';
import { VERSION } from './version.ts';

export interface AgentIo {
  clock?: Clock;
  journal?: Journal;
  /** Drives of another host than this one. */
  drives?: DriveSources;
}

export interface RunningAgent {
  /** With real ports, where 0 was asked for. */
  readonly listen: { address: string; port: number }[];
  /** SHA-256 of the leaf that guests pin. */
  readonly fingerprint: string;
  readonly hostId: string;
  readonly adminSocket: string;
  /** Takes over what can change while it runs; answers which changed keys wait for a restart. */
  reload(next: AgentConfig): { atOnce: string[]; needRestart: string[] };
  close(): Promise<void>;
}

export const startAgent = async (config: AgentConfig, io: AgentIo = {}): Promise<RunningAgent> => {
  const { clock = systemClock, journal = systemJournal, drives = {} } = io;
  const undo: (() => Promise<unknown> | unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) {
      await Promise.resolve()
        .then(step)
        .catch((error: unknown) => journal('error', 'A part did not stop cleanly.', { cause: String(error) }));
    }
  };
  try {
    return await compose(config, { clock, journal, drives }, undo, close);
  } catch (error) {
    await close();
    throw error;
  }
};

const compose = async (
  config: AgentConfig,
  { clock, journal, drives }: Required<AgentIo>,
  undo: (() => Promise<unknown> | unknown)[],
  close: () => Promise<void>,
): Promise<RunningAgent> => {
  let current = config;

  const token = await readTokenFile(config.proxmox.tokenFile);
  const node = await nodeName(config.proxmox, journal);
  // First of all in the state directory: it is the lock against a second agent.
  const store = await openStore(join(config.stateDir, 'felhom.db'));
  undo.push(() => store.close());
  const identity = await ensureIdentity(
    { files: stateFilesIn(config.stateDir), makeLeaf, hostname },
    config.hostId,
    config.listen.map(({ address }) => address),
  );

  const { endpoint, fingerprint, configDir } = config.proxmox;
  const fingerprints = async () => [fingerprint === 'auto' ? await nodeFingerprint(configDir) : fingerprint];
  const proxmox = createProxmox({ endpoint, token, node, fingerprints, clock });
  undo.push(() => proxmox.close());

  const proc = createProc();
  const sysfs = createSysfs();
  const view = createNodeView({ clock, proxmox, proc, sysfs });
  const storage = createGuestStorage({ clock, proxmox, view });
  const problems = await loadProblems({ store, clock, journal });
  const zpool = createZpool(runCommand);
  const records = await loadRecords({ store, clock });
  const trusted = await composeTrust({ store, clock, journal, problems, keysFile: config.opsign.authorizedKeys });
  const boot = await createBootTime(clock);
  const { directories, isHost, byUnits } = await composeGuestDirectories({ config, node, proc, journal });
  const { disks, diskAdmin, formats, ...driving } = await composeDisks({
    ...{ store, proc, sysfs, zpool, problems, clock, journal, records, directories, byUnits, configDir, sources: drives },
    settings: () => current.disks,
    guests: () => guests.enrolled().map(({ vmid }) => vmid),
    busy: () => backups.running().length > 0,
    changed: (vmid) => events.disksChanged(vmid),
    ...{ hostScope: identity.hostId, stateDir: config.stateDir, boot, distrust: trusted.trust.why },
    openOp: (drive, wish) => opening.ops.open(drive, wish),
  });
  undo.push(driving.close);
  const metrics = createMetrics({
    ...{ clock, proc, sysfs, run: runCommand, view, zpool },
    thinPools: createThinPools(runCommand),
    smart: driving.smart.of,
  });
  undo.push(() => metrics.close());
  const interfaces = () => Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const guests = await createGuests({
    store,
    proxmox,
    clock,
    journal,
    limits: () => current.limits,
    endpoints: () =>
      server.listen.flatMap(({ address, port }) =>
        reachedAt(address, interfaces()).map((own) => ({ address: own, port, fingerprints: [identity.fingerprint] })),
      ),
  });
  const enrolment = createEnrolment({ guests, directories, assignments: records.assignments, prepares: isHost, journal });
  const { backups, archives, duty, ...backing } = composeBackups({
    ...{ store, proxmox, proc, view, problems, clock, journal, hostId: identity.hostId },
    paths: config.proxmox,
    settings: () => current.backup,
    guests: guests.enrolled,
    archivesChanged: (vmid) => events.archivesChanged(vmid),
  });
  undo.push(backing.close);
  const events = createEventHub({ backups, problems, formats: driving.formatting });
  await backups.resume();

  const opening = await composeOps({
    ...{ store, clock, journal, problems, proc, proxmox, records, boot, byUnits, isHost, ...trusted },
    ...{ current: driving.current, claims: driving.claims, inUse: driving.inUse, check: driving.check },
    ...{ hostScope: identity.hostId, keysFile: config.opsign.authorizedKeys, loopDrives: config.disks.loopDrives },
    settings: () => current.opsign,
    backups: () => backups,
    letGoArchives: (storages) => archives.letGo(storages),
    formatting: () => driving.formatting,
    changed: (vmid) => events.opsChanged(vmid),
  });
  undo.push(opening.close);
  const agent = { version: VERSION, host_scope: identity.hostId, node, fingerprints: { now: identity.fingerprint, next: null } };
  const server = await createGuestServer({
    listen: config.listen,
    key: identity.key,
    certificate: identity.certificate,
    guests,
    handlers: guestHandlers({
      duty,
      backups,
      archives,
      problems,
      events,
      disks,
      formats,
      ops: opening.guestOps,
      metrics,
      storage,
      agent,
    }),
    interfaces,
    clock,
    journal,
  });
  undo.push(() => server.close());
  const admin = await createAdminServer({
    runtimeDir: config.runtimeDir,
    handlers: adminHandlers(guests, {
      enrolment,
      duty,
      backups,
      archives,
      problems,
      disks: diskAdmin,
      formats,
      ops: opening.adminOps,
    }),
    journal,
  });
  undo.push(() => admin.close());
  backing.begin();
  driving.begin();
  opening.begin();
  void enrolment.begin();
  journal('notice', 'The agent runs.', { version: VERSION, host_id: identity.hostId, node, fingerprint: identity.fingerprint });

  return {
    get listen() {
      return server.listen;
    },
    fingerprint: identity.fingerprint,
    hostId: identity.hostId,
    adminSocket: admin.path,
    reload: (next) => {
      const changes = compareConfigs(current, next);
      const { filesystems, protect, guests: mayTake } = next.disks;
      const reread = { ...current.disks, filesystems, protect, guests: mayTake };
      current = {
        ...current,
        backup: next.backup,
        disks: reread,
        opsign: { ...current.opsign, maxAgeMs: next.opsign.maxAgeMs },
        limits: next.limits,
      };
      return changes;
    },
    close,
  };
};

/** `/etc/pve` may not be mounted yet: its link `local` is made from the host's name, so that name will do until then. */
const nodeName = async ({ node, configDir }: AgentConfig['proxmox'], journal: Journal): Promise<string> => {
  if (node !== 'auto') return node;
  const linked = await nodeNameIn(configDir);
  if (linked !== null) return linked;
  const [short = 'localhost'] = hostname().split('.');
  journal(
    'warning',
    "Proxmox's configuration directory does not name this node (is pve-cluster running?); the host's name is used.",
    {
      directory: configDir,
      node: short,
    },
  );
  return short;
};
