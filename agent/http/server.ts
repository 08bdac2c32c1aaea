/** The guest API over TLS: one HTTPS server behind a gate for each listen address. */
import { createServer } from 'node:https';
import type { Clock } from '#shared/clock';
import { GUEST_API } from '#shared/wire/api';
import type { Guests } from '../guests/service.ts';
import type { Journal } from '../ports/journal.ts';
import { createApp, SERVER_OPTIONS } from './app.ts';
import { createCrowd, openGate } from './gate.ts';
import { mount } from './mount.ts';
import type { AnyHandler, GuestHandlers } from './routes.ts';
import { admits, type InterfaceAddress } from './source.ts';

/** Clients in the field read 1 MiB at most; half of it is the contract. */
const ANSWER_BYTES = 512 * 1024;

export interface GuestServerPorts {
  listen: readonly { address: string; port: number }[];
  key: string;
  certificate: string;
  guests: Pick<Guests, 'authenticate'>;
  handlers: GuestHandlers;
  interfaces: () => InterfaceAddress[];
  clock: Clock;
  journal: Journal;
}

export interface GuestServer {
  /** With real ports. */
  readonly listen: { address: string; port: number }[];
  close(): Promise<void>;
}

const single = (header: string | string[] | undefined): string | undefined => (Array.isArray(header) ? header.join(',') : header);

export const createGuestServer = async (ports: GuestServerPorts): Promise<GuestServer> => {
  const { guests, handlers, interfaces, clock, journal } = ports;
  const { app, server } = createApp((handler) =>
    createServer(
      { ...SERVER_OPTIONS, minVersion: 'TLSv1.2', handshakeTimeout: 5000, key: ports.key, cert: ports.certificate },
      handler,
    ),
  );
  const mounted = mount(app, {
    endpoints: GUEST_API,
    handlers: handlers as Record<string, unknown> as Record<string, AnyHandler>,
    authenticate: ({ access }, { headers, socket }) =>
      access === 'public'
        ? null
        : guests.authenticate({
            authorization: headers.authorization,
            instance: single(headers['felhom-instance']),
            source: socket.remoteAddress ?? '',
          }),
    answerBytes: ANSWER_BYTES,
    clock,
    journal,
  });
  await app.ready();
  // The server never listens itself, yet this event starts its watch over slow requests (Node.js, lib/_http_server.js).
  server.emit('listening');

  const crowd = createCrowd();
  const accept = (socket: unknown): void => void server.emit('connection', socket);
  const gates = await Promise.all(
    ports.listen.map(({ address, port }) =>
      openGate({ address, port, crowd, admits: (source) => admits(address, source, interfaces()), accept, clock, journal }),
    ),
  );

  return {
    get listen() {
      return gates.map(({ address, port }) => ({ address, port }));
    },
    close: async () => {
      const shut = Promise.all(gates.map((gate) => gate.close()));
      // Held answers end now; a connection goes as soon as its answer is out.
      mounted.abortAll();
      const sweep = setInterval(() => server.closeIdleConnections(), 20);
      await shut;
      clearInterval(sweep);
      await app.close();
      server.close();
    },
  };
};
