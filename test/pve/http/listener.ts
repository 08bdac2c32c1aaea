/** The TCP port: TLS for everything, a redirect for plain HTTP, and tearing it all down. */

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { type App, serveConnection } from './connection.ts';
import { serialize } from './message.ts';

export interface Listener {
  readonly port: number;
  /** Closes every connection and refuses new ones until `open`. */
  shut(): Promise<void>;
  open(): Promise<void>;
}

const TLS_HANDSHAKE = 22;

/** GET and HEAD are moved, other methods are redirected so that they stay what they are. */
const redirect = (socket: Socket, chunk: Buffer, port: number, nowMs: number): void => {
  const [, method = '', target = '/'] = /^(\S+)\s+(\S+)/.exec(chunk.toString('latin1')) ?? [];
  const status = method === 'GET' || method === 'HEAD' ? 301 : 308;
  const reason = status === 301 ? 'Moved Permanently' : 'Permanent Redirect';
  const reply = { status, reason, body: reason, headers: { Location: `https://127.0.0.1:${port}${target}` } };
  socket.end(serialize(reply, true, nowMs, ''));
};

const listen = async (server: Server, port: number): Promise<number> => {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
};

export const startListener = async (app: App, tls: { key: string; cert: string }, wanted: number): Promise<Listener> => {
  const sockets = new Set<Socket>();
  let port = wanted;
  const tlsServer = createTlsServer({ ...tls, minVersion: 'TLSv1.2' });

  const accept = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.once('data', (chunk: Buffer) => {
      if (chunk[0] !== TLS_HANDSHAKE) return redirect(socket, chunk, port, app.clock());
      socket.pause();
      socket.unshift(chunk);
      tlsServer.emit('connection', socket);
    });
  };

  tlsServer.on('secureConnection', (secure) => {
    // A reset must reach the wire, so it is done on the socket below TLS.
    const below = [...sockets].find((socket) => socket.remotePort === secure.remotePort);
    serveConnection(secure, app, () => (below ?? secure).resetAndDestroy());
  });
  tlsServer.on('tlsClientError', (_error, secure) => secure.destroy());

  let server = createServer(accept);
  port = await listen(server, wanted);

  return {
    port,
    shut: async () => {
      if (!server.listening) return;
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    open: async () => {
      server = createServer(accept);
      await listen(server, port);
    },
  };
};
