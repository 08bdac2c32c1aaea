/** The command line's way to the running agent: the admin endpoints on a Unix socket that only root can reach. */
import { chmod, lstat, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { basename } from 'node:path';
import { ADMIN_API } from '#shared/wire/admin';
import { adminSocketPath, fitsSocket } from '../config.ts';
import { systemClock } from '../ports/clock.ts';
import type { Journal } from '../ports/journal.ts';
import { ownDirectory } from '../ports/own-directory.ts';
import { createApp, SERVER_OPTIONS } from './app.ts';
import { mount } from './mount.ts';
import type { AdminHandlers, AnyHandler } from './routes.ts';

/** Lists of thousands of archives are no page of a web client: they go to the command line. */
const ANSWER_BYTES = 16 * 1024 * 1024;

export interface AdminServerPorts {
  runtimeDir: string;
  handlers: AdminHandlers;
  journal: Journal;
}

export interface AdminServer {
  readonly path: string;
  close(): Promise<void>;
}

export const createAdminServer = async ({ runtimeDir, handlers, journal }: AdminServerPorts): Promise<AdminServer> => {
  if (!fitsSocket(runtimeDir)) {
    throw new Error(
      `runtime_dir ${runtimeDir} makes the admin socket's path longer than Linux allows. Name a shorter directory.`,
    );
  }
  const path = adminSocketPath(runtimeDir);
  ownDirectory(runtimeDir, basename(path));
  await clearStale(path);

  const { app, server } = createApp((handler) => createServer(SERVER_OPTIONS, handler));
  const mounted = mount(app, {
    endpoints: ADMIN_API,
    handlers: handlers as Record<string, unknown> as Record<string, AnyHandler>,
    authenticate: () => null,
    answerBytes: ANSWER_BYTES,
    clock: systemClock,
    journal,
  });
  await app.ready();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
  // The directory is closed to everybody else, so nobody could use the moment before this.
  await chmod(path, 0o600);

  return {
    path,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      mounted.abortAll();
      server.closeIdleConnections();
      const farewell = setTimeout(() => server.closeAllConnections(), 1000);
      await closed;
      clearTimeout(farewell);
      await app.close();
    },
  };
};

/** Takes away the socket of an agent that is no more. */
const clearStale = async (path: string): Promise<void> => {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) throw new Error(`${path} is there and is not a socket. Find out what made it, and move it away.`);
  if (await answers(path)) {
    throw new Error(`An agent is running already: it answers on ${path}. Stop it first ("systemctl stop felhom-agent").`);
  }
  await rm(path, { force: true });
};

const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const settle = (answer: boolean): void => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', () => settle(true));
    socket.once('error', () => settle(false));
  });
