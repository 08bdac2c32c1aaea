/** The program at work: lets go what is left, then serves connections until it is asked to stop or nobody needs it. */
import { chmod, mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { sleep, waitAtMost } from '#shared/clock';
import { createChildren } from './children.ts';
import { systemClock as clock } from './clock.ts';
import { commandRunner } from './command.ts';
import { readQuiesceFile } from './config.ts';
import { serveConnection } from './connection.ts';
import { createFlush } from './flush.ts';
import { createKeeper } from './keeper.ts';
import { openLeases } from './lease.ts';
import { endLeftovers } from './leftovers.ts';
import { createLettingGo } from './letting-go.ts';
import type { LinkPorts } from './link.ts';
import { listenOn } from './listen.ts';
import { takeLock } from './lock.ts';
import { createLog } from './log.ts';
import type { Options } from './options.ts';
import { placesOf } from './places.ts';
import { isGoingDown } from './systemd.ts';

const IDLE_MS = 5000;
/** The controller needs one or two. */
const MOST_CONNECTIONS = 32;
/** A unit's end waits so long for applications that do not come back; its next start goes on with them. */
const LAST_MS = 60_000;

// A reader of the log that has gone is no reason to die while something is held.
process.stderr.on('error', () => undefined);
const log = createLog((text) => void process.stderr.write(text), process.env.JOURNAL_STREAM !== undefined);

const makeParts = ({ config, stateDir, runtimeDir }: Options, version: string, program: LinkPorts['program']) => {
  const { say } = log;
  const leases = openLeases({ stateDir, runtimeDir, say });
  const children = createChildren({ clock, program, say, mark: leases.mark });
  const isNamed = async (name: string): Promise<boolean> => {
    const file = await readQuiesceFile(config);
    // A file that is gone or empty may be no decision of anybody.
    return !file.ok || file.config.apps.length === 0 || file.config.apps.some((app) => app.name === name);
  };
  const letting = createLettingGo({ clock, children, say, dropped: leases.drop, isNamed });
  const keeper = createKeeper({
    version,
    clock,
    readConfig: () => readQuiesceFile(config),
    children,
    leases,
    letting,
    placesOf,
    flush: createFlush(commandRunner(clock)),
    log: {
      say,
      begin: () => {
        log.begin();
        leases.begin();
      },
      end: () => {
        log.end();
        leases.end();
      },
    },
    endLeftovers: (leftovers) => endLeftovers(clock, leftovers),
  });
  return { keeper, letting, leases, children };
};

/** Resolves at the first signal to stop. */
const asked = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });

/** Only root reads what is in there; a directory that systemd made is right already. */
const makeDirectories = async ({ stateDir, runtimeDir }: Options): Promise<void> => {
  await mkdir(runtimeDir, { recursive: true, mode: 0o755 });
  // Without it nothing can be held, but what is to be said is said.
  await mkdir(stateDir, { recursive: true, mode: 0o700 }).catch(() => undefined);
  await chmod(stateDir, 0o700).catch(() => undefined);
};

export interface Program {
  version: string;
  child: LinkPorts['program'];
}

/** @param socket a descriptor that systemd passed, or a path */
export const serve = async (options: Options, socket: number | string, { version, child }: Program): Promise<void> => {
  await makeDirectories(options);
  const lock = await takeLock(options.runtimeDir, 'serve', clock);
  if (!lock.held) throw new Error(`felhom-quiesced runs already (process ${lock.by.pid})`);
  const stopping = asked();
  const { keeper, letting, leases, children } = makeParts(options, version, child);
  const connections = new Set<Promise<void>>();
  const open = new Set<{ destroy(): void }>();
  let lastUse = clock.monotonic();
  const server = createServer((connection) => {
    const served = serveConnection(connection, keeper, log.say, clock);
    connections.add(served);
    open.add(connection);
    void served.then(() => {
      connections.delete(served);
      open.delete(connection);
      lastUse = clock.monotonic();
    });
  });
  const recovered = keeper.recover().catch((error: unknown) => log.say(3, `what an earlier start left: ${String(error)}`));
  server.maxConnections = MOST_CONNECTIONS;
  await listenOn(server, socket);
  // Without a descriptor left, one more connection is no reason to die.
  server.on('error', (error) => log.say(4, `a connection could not be accepted: ${error.message}`));

  /** Under systemd the next connection starts it again. */
  const unused = async (): Promise<void> => {
    for (;;) {
      await sleep(clock, IDLE_MS / 5);
      if (connections.size > 0 || !keeper.isIdle()) lastUse = clock.monotonic();
      else if (clock.monotonic() - lastUse >= IDLE_MS) return;
    }
  };
  await Promise.race([stopping, ...(typeof socket === 'number' ? [unused()] : [])]);
  server.close();
  if (await isGoingDown()) {
    // Locks fall with their connections. What would have to be started is started by the next boot, from the lease.
    letting.stop();
    await children.killAll();
  } else {
    for (const connection of open) connection.destroy();
    await Promise.all(connections);
    const allBack = recovered.then(() => letting.allBack());
    await waitAtMost(clock, LAST_MS, allBack);
    await waitAtMost(clock, IDLE_MS, leases.settled());
  }
  log.end();
  await lock.release();
};

/** Returns when all are back, or when it is asked to stop. */
export const recover = async (options: Options, { version, child }: Program): Promise<void> => {
  await makeDirectories(options);
  const lock = await takeLock(options.runtimeDir, 'recover', clock);
  // The one that serves does it.
  if (!lock.held) return;
  const stopping = asked();
  const { keeper, letting, leases, children } = makeParts(options, version, child);
  const done = keeper.recover().then(() => letting.allBack());
  await Promise.race([stopping, done]);
  letting.stop();
  await waitAtMost(clock, IDLE_MS, leases.settled());
  await children.killAll();
  await lock.release();
};
