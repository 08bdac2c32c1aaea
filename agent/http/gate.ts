/** The door at one listen address: takes raw connections, turns away those that have no business here, and hands the rest on. */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Clock } from '#shared/clock';
import type { Journal } from '../ports/journal.ts';

const RETRY_MS = 3000;
/** At most this long do answers that are under way hold up a stop. */
const FAREWELL_MS = 1000;
/** A guest's controller uses a handful. */
const CONNECTIONS_PER_SOURCE = 64;
const CONNECTIONS = 1024;

/** Open connections, over all doors. */
export interface Crowd {
  /** The function to call when the connection has ended; null when there is no room. */
  enter(source: string): (() => void) | null;
}

export const createCrowd = (perSource = CONNECTIONS_PER_SOURCE, total = CONNECTIONS): Crowd => {
  const bySource = new Map<string, number>();
  let all = 0;
  return {
    enter: (source) => {
      const here = bySource.get(source) ?? 0;
      if (here >= perSource || all >= total) return null;
      bySource.set(source, here + 1);
      all += 1;
      return () => {
        all -= 1;
        const left = (bySource.get(source) ?? 1) - 1;
        if (left > 0) bySource.set(source, left);
        else bySource.delete(source);
      };
    },
  };
};

export interface GateOptions {
  address: string;
  port: number;
  crowd: Crowd;
  admits: (source: string) => boolean;
  /** An accepted connection, before TLS. */
  accept: (socket: Socket) => void;
  clock: Clock;
  journal: Journal;
}

export interface Gate {
  readonly address: string;
  /** The real one; 0 while the address is not up, if 0 was asked for. */
  readonly port: number;
  /** Takes no more connections; resolves when the last one has ended, by itself or after a second. */
  close(): Promise<void>;
}

/** Resolves when it listens, or when the first try has failed: an address that is not up yet is tried again until it is. */
export const openGate = async ({ address, port, crowd, admits, accept, clock, journal }: GateOptions): Promise<Gate> => {
  const inside = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    const source = socket.remoteAddress ?? '';
    // A socket without a listener for errors would end the process.
    socket.on('error', () => socket.destroy());
    if (!admits(source)) return socket.destroy();
    const leave = crowd.enter(source);
    if (leave === null) return socket.destroy();
    inside.add(socket);
    socket.once('close', () => {
      inside.delete(socket);
      leave();
    });
    accept(socket);
  });

  let realPort = port;
  let closed = false;
  let troubled = false;
  let cancelRetry = (): void => undefined;

  const tryOnce = (): Promise<void> =>
    new Promise((resolve) => {
      const failed = (error: NodeJS.ErrnoException): void => {
        server.off('listening', listening);
        if (!troubled) {
          troubled = true;
          const words = `The agent cannot listen yet; it tries again every ${RETRY_MS / 1000} s.`;
          journal('warning', words, { address, port, cause: error.code ?? error.message });
        }
        if (!closed) cancelRetry = clock.after(RETRY_MS, () => void tryOnce());
        resolve();
      };
      const listening = (): void => {
        server.off('error', failed);
        server.on('error', (error) => journal('error', 'A listener failed.', { address, port, cause: error.message }));
        realPort = (server.address() as AddressInfo).port;
        journal('info', 'The agent serves its guests here.', { address, port: realPort });
        resolve();
      };
      server.once('error', failed);
      server.once('listening', listening);
      server.listen({ host: address, port, ipv6Only: address.includes(':') });
    });
  await tryOnce();

  return {
    address,
    get port() {
      return realPort;
    },
    close: () => {
      closed = true;
      cancelRetry();
      const farewell = setTimeout(() => {
        for (const socket of inside) socket.destroy();
      }, FAREWELL_MS);
      return new Promise((resolve) =>
        server.close(() => {
          clearTimeout(farewell);
          resolve();
        }),
      );
    },
  };
};
