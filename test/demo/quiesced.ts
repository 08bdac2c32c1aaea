/** felhom-quiesced in the guest of the demo and of the bench: its file, its socket, and the guest's mounts as it would see them. */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { stringify } from 'yaml';
import { mountOf, parseMountinfo } from '#shared/mountinfo';
import { start } from './processes.ts';

const SOCKET_WITHIN_MS = 10_000;

export const socketIn = (dir: string): string => join(dir, 'socket');

/** @param dir one that only this user may write, and so are those above it: it obeys no other */
export const startQuiesced = async (
  dir: string,
  apps: readonly object[],
  onLine: (line: string) => void,
  watch: (child: ChildProcess) => void,
): Promise<void> => {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const config = join(dir, 'quiesce.yaml');
  writeFileSync(config, stringify({ apps }), { mode: 0o644 });
  const places = ['--config', config, '--state-dir', join(dir, 'state'), '--runtime-dir', join(dir, 'run')];
  const child = start('quiesced', ['serve', ...places, '--listen', socketIn(dir)], onLine);
  watch(child);
  for (const until = performance.now() + SOCKET_WITHIN_MS; !existsSync(socketIn(dir)); ) {
    if (child.exitCode !== null || performance.now() > until) throw new Error('felhom-quiesced did not start');
    await pause(20);
  }
};

/** Blanks and backslashes are written in octal, proc_pid_mountinfo(5). */
const encode = (text: string): string =>
  text.replace(/[ \t\n\\]/g, (one) => `\\${one.charCodeAt(0).toString(8).padStart(3, '0')}`);

/** A guest here is a directory of this machine. What its own `/proc/self/mountinfo` would say: that this directory is its `/`. */
export const guestMountinfo = (rootfs: string): string => {
  const path = realpathSync(rootfs);
  const mount = mountOf(parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8')), path);
  if (mount === undefined) throw new Error(`${path} is on no mount`);
  const root = join(mount.root, relative(mount.point, path));
  return `1 0 ${mount.device} ${encode(root)} / rw - ${mount.fstype} ${encode(mount.source)} rw\n`;
};
