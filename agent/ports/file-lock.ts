/** A lock file of another program, flock(2): held while something is done that the other must not see half done. */
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Runs what it is given while the lock is held, which is let go however that ends. Rejects (`LockBusy`) when it cannot be had in time. */
export type WithLock = <T>(lockFile: string, act: () => Promise<T>) => Promise<T>;

export class LockBusy extends Error {
  override readonly name = 'LockBusy';
}

const FLOCK = '/usr/bin/flock';
/** As long as Proxmox waits for the same lock (pve-guest-common:src/PVE/AbstractConfig.pm, lock_config). */
const WAIT_SECONDS = 10;
/** flock(1), -E: a status that neither it nor cat(1) has otherwise. */
const BUSY = 75;

interface Holder {
  /** Resolves when the lock is free again. */
  release(): Promise<void>;
}

/**
 * flock(1) becomes cat(1), which holds the lock until its standard input ends: with us, whatever happens to us. What we write comes
 * back when the lock is held.
 */
const hold = (lockFile: string, waitSeconds: number): Promise<Holder> =>
  new Promise((resolve, reject) => {
    const how = ['--exclusive', '--no-fork', '--wait', String(waitSeconds), '--conflict-exit-code', String(BUSY)];
    const child = spawn(FLOCK, [...how, lockFile, '/usr/bin/cat'], { cwd: '/', env: { LC_ALL: 'C' }, stdio: 'pipe' });
    let said = '';
    const ended = new Promise<void>((done) => {
      child.once('close', (exit) => {
        reject(exit === BUSY ? new LockBusy(lockFile) : new Error(`flock ended with ${exit}: ${said}`));
        done();
      });
      child.once('error', (error) => {
        reject(error);
        done();
      });
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(0, 2000);
    });
    // Its end may close the pipe before our byte is in it; the end is told by `close`.
    child.stdin.on('error', () => {});
    child.stdout.once('data', () =>
      resolve({
        release: () => {
          child.stdin.end();
          return ended;
        },
      }),
    );
    child.stdin.write('.');
  });

export const createFileLock =
  (waitSeconds = WAIT_SECONDS): WithLock =>
  async (lockFile, act) => {
    await mkdir(dirname(lockFile), { recursive: true, mode: 0o755 });
    const holder = await hold(lockFile, waitSeconds);
    try {
      return await act();
    } finally {
      await holder.release();
    }
  };
