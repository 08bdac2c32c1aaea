/** The socket that the controller speaks to: systemd's, or one of our own that only root and the controller's group may use. */
import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';

const GROUP = 'felhom';

/** Null where there is no such group. group(5) */
const groupNumber = (name: string): number | null => {
  try {
    const line = execFileSync('/usr/bin/getent', ['group', '--', name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return Number(line.split(':')[2]);
  } catch {
    return null;
  }
};

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

const listening = (server: Server, where: { fd: number } | { path: string }): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });

const listenAt = async (server: Server, path: string): Promise<void> => {
  await mkdir(dirname(path), { recursive: true });
  if (await answers(path)) throw new Error(`another program listens at ${path}`);
  await rm(path, { force: true });
  // Nobody else may connect before owner and mode are right.
  const umask = process.umask(0o177);
  try {
    await listening(server, { path });
  } finally {
    process.umask(umask);
  }
  const group = process.geteuid?.() === 0 ? groupNumber(GROUP) : null;
  if (group === null) return;
  await chown(path, 0, group);
  await chmod(path, 0o660);
};

export const listenOn = (server: Server, where: number | string): Promise<void> =>
  typeof where === 'number' ? listening(server, { fd: where }) : listenAt(server, where);
