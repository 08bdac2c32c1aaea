/** Follows the demo's first backup and its verification over the guest API, as any client could, and tells what happens. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Bootstrap } from '#shared/bootstrap';
import { type Address, get } from '../stranger/client.ts';

const BAR = 28;

/** One line that is written over on a terminal, and only when it says something new elsewhere. */
const progressLine = () => {
  let last = '';
  const terminal = process.stdout.isTTY === true;
  return {
    show: (text: string) => {
      if (text === last) return;
      last = text;
      process.stdout.write(terminal ? `\r\x1b[K${text}` : `${text}\n`);
    },
    end: () => {
      if (terminal && last) process.stdout.write('\n');
    },
  };
};

const bar = (step: number, steps: number): string => {
  const filled = Math.round((BAR * step) / steps);
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}]`;
};

const stepOf = (status: { phase: string; upid: string; consistency_point_at: string | null }): [number, string] => {
  if (status.phase === 'idle') return [0, 'the controller asks whether a backup is due'];
  if (status.phase !== 'running') return [4, 'ended'];
  if (status.upid === '') return [1, 'the application stands still; Proxmox is asked for a backup'];
  if (status.consistency_point_at === null) return [2, 'the application stands still; Proxmox takes the snapshot'];
  return [3, 'the application works again; Proxmox copies the snapshot into the archive'];
};

/** Where the guest reaches the agent, as its bootstrap file says. */
const addressOf = ({ endpoints, token }: Bootstrap): Address => {
  const [endpoint] = endpoints;
  return {
    host: endpoint?.address ?? '',
    port: endpoint?.port ?? 0,
    fingerprint: endpoint?.fingerprints[0] ?? '',
    token,
  };
};

/** Resolves when the newest backup has ended. */
export const followBackup = async (
  bootstrap: Bootstrap,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<{ ok: boolean }> => {
  const address = addressOf(bootstrap);
  const line = progressLine();
  let revision = '';
  for (;;) {
    signal.throwIfAborted();
    const status = await get(address, `/backup/status?wait=1&after=${encodeURIComponent(revision)}`);
    revision = status.revision;
    const [step, words] = stepOf(status);
    line.show(`   backup ${bar(step, 4)} ${words}`);
    if (status.phase === 'done' || status.phase === 'failed') {
      line.end();
      if (status.phase === 'failed') say(`   The backup failed: ${status.error}`);
      else say(`   Backup done: ${status.archive}, ${status.size_bytes} bytes, label "${status.label}".`);
      return { ok: status.phase === 'done' };
    }
    await pause(50);
  }
};

const VERIFIED_WITHIN_MS = 20_000;

const VERDICTS: Record<string, string> = {
  ok: 'Verified: the agent has read the archive to its end, and it is whole.',
  failed: 'The archive is damaged: ',
  unsupported: 'The agent cannot read archives of this kind.',
};

/** Waits for the agent to read the newest archive, which it does as soon as the host is idle. Where that takes longer, the demo goes on. */
export const followVerification = async (
  bootstrap: Bootstrap,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> => {
  const deadline = performance.now() + VERIFIED_WITHIN_MS;
  while (performance.now() < deadline) {
    signal.throwIfAborted();
    const { backups } = await get(addressOf(bootstrap), '/backups');
    const verdict = VERDICTS[backups[0]?.verification];
    if (verdict !== undefined) return say(`   ${verdict}${backups[0].verification_error}`);
    await pause(250);
  }
  say('   Not yet verified: the agent reads the archive to its end within a day.');
};
