/** The simulated node with the real agent, and guests whose volumes are real: what a line of the task log meant is known to the millisecond. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Bootstrap } from '#shared/bootstrap';
import type { BackupStatus } from '#shared/wire/backups';
import { startAgent } from '../../bench/host.ts';
import type { Scope } from '../../bench/scope.ts';
import { writeAgentConfig } from '../../demo/files.ts';
import { container, startDemoHost } from '../../demo/host.ts';
import { freePort } from '../../demo/ports.ts';
import { run } from '../../demo/processes.ts';
import type { VzdumpFaults } from '../../pve/vzdump/faults.ts';
import type { Guest } from '../../pve/world.ts';
import { get } from '../../stranger/client.ts';
import type { Window } from './rows.ts';
import { snapshotsOf } from './volume.ts';

/** The lines around the moment at which the simulator takes its snapshots, of a container and of a virtual machine. */
const CUT = {
  // With several volumes it was frozen, and goes on before its archive is begun.
  lxc: [/^INFO: create storage snapshot/, /^INFO: (resume vm|creating vzdump archive)/],
  qemu: [/^INFO: starting backup via QMP command/, /^INFO: started backup task/],
} as const;

const AFTER_CUT = Object.values(CUT).map(([, after]) => after);

export interface GuestSpec {
  vmid: number;
  type: Guest['type'];
  config: Guest['config'];
  /** By volume key: what vzdump snapshots. */
  directories: Guest['directories'];
}

export interface Backup {
  status: BackupStatus;
  /** The archive's file. */
  archive: string;
  cut: Window;
  /** Read-only snapshots of btrfs that stood while the archive was written. */
  snapshots: string[];
}

export type Node = Awaited<ReturnType<typeof startNode>>;

const BACKUP_MS = 90_000;

export const startNode = async (scope: Scope, { dir, volumes }: { dir: string; volumes: readonly string[] }) => {
  const host = await startDemoHost({ dir, vmids: [], lineDelayMs: 20 });
  const { pve } = host;
  scope.defer(() => pve.close());
  const lines: { line: string; atMs: number }[] = [];
  let snapshots: string[] = [];
  const faults: VzdumpFaults = pve.vzdumpFaults;
  faults.onLine = (line, atMs) => {
    lines.push({ line, atMs });
    if (AFTER_CUT.some((pattern) => pattern.test(line))) snapshots = volumes.flatMap(snapshotsOf);
  };
  const port = await freePort();
  // Many copies are unpacked here; compressing them proves nothing.
  const config = writeAgentConfig(host, { dir, port, backup: { compress: '0' } });
  const agent = await startAgent(scope, config, port);

  const addGuest = ({ vmid, type, config: text, directories }: GuestSpec): void => {
    const guest = { ...container(vmid, dir), type, config: { ...text }, directories };
    pve.world.guests.set(vmid, guest);
    pve.writeConfigFiles();
  };

  /** Just before its backup: an enrolled guest that never asks would keep the others waiting. */
  const enrol = async (vmid: number): Promise<Bootstrap> =>
    JSON.parse(await run('agent', ['guest', 'enroll', String(vmid), '--print', '--config', config]));

  const cutOf = (type: Guest['type'], since: number): Window => {
    const [before, after] = CUT[type].map((pattern) => lines.slice(since).find(({ line }) => pattern.test(line))?.atMs);
    if (before === undefined || after === undefined) throw new Error('the log does not show the cut');
    return { fromMs: before, toMs: after };
  };

  /** Resolves when a backup that began after this call has ended, and its applications are reported or will not be. */
  const nextBackup = async (bootstrap: Bootstrap, type: Guest['type'], said: () => string): Promise<Backup> => {
    const since = lines.length;
    snapshots = [];
    const fingerprint = bootstrap.endpoints[0]?.fingerprints[0] ?? '';
    const address = { host: '127.0.0.1', port, fingerprint, token: bootstrap.token };
    const deadline = performance.now() + BACKUP_MS;
    for (;;) {
      const status: BackupStatus = await get(address, '/backup/status');
      if (status.phase === 'failed') throw new Error(`the backup failed: ${status.error}\n${said()}`);
      if (status.phase === 'done' && status.apps !== null) {
        const kept = pve.world.storages.get('usb-backup')?.archives.find(({ volid }) => volid === status.archive);
        if (kept?.path === undefined) throw new Error(`there is no archive ${status.archive}`);
        return { status, archive: kept.path, cut: cutOf(type, since), snapshots };
      }
      if (performance.now() > deadline) {
        const log = lines.slice(since).map(({ line }) => line);
        throw new Error(
          `no backup in time: ${JSON.stringify(status)}\n${[...log, ...agent.said.slice(-20)].join('\n')}\n${said()}`,
        );
      }
      // With what the controller asks by the same token this stays below 20 requests a second, the agent's limit.
      await pause(150);
    }
  };

  return { addGuest, enrol, nextBackup, faults };
};
