/** A TLS server that answers exactly the bytes that a test gives it, as pveproxy would. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import { systemClock } from '#agent/ports/clock';
import { createProxmox } from '#agent/ports/proxmox-http';
import type { Timeouts } from '#agent/ports/proxmox-transport';
import type { Certificate } from '../../../pve/certificate.ts';

export const SECRET = '7c1d7b2e-5d1c-4c8e-9d53-0a4a9b6f1234';
export const TOKEN = `felhom@pve!pve1=${SECRET}`;

interface Seen {
  method: string;
  path: string;
  head: string;
  body: string;
  /** Counts connections from 1. */
  connection: number;
}
type Reply = string | 'reset' | 'hang' | { afterMs: number; reply: string };
export type Answer = (request: Seen, count: number) => Reply;

export const json = (data: unknown, extra = '') => reply(200, 'OK', JSON.stringify({ data }), extra);
export const problem = (status: number, message: string, errors?: Record<string, string>) =>
  reply(status, message.trim().split('\n')[0] ?? '', JSON.stringify({ data: null, message, ...(errors ? { errors } : {}) }));
export const reply = (status: number, reason: string, body = '', extra = '') =>
  `HTTP/1.1 ${status} ${reason}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nServer: pve-api-daemon/3.0\r\n${extra}\r\n${body}`;

const answerOne = (socket: TLSSocket, bytes: Reply): void => {
  if (bytes === 'reset') socket.destroy();
  else if (typeof bytes === 'object') setTimeout(() => socket.write(bytes.reply), bytes.afterMs);
  else if (bytes !== 'hang') socket.write(bytes);
};

export const startPeer = async (answer: Answer, certificate: Certificate, port = 0) => {
  const seen: Seen[] = [];
  const sockets = new Set<TLSSocket>();
  const bytesIn = { count: 0 };
  let connections = 0;
  const server = createServer({ key: certificate.key, cert: certificate.cert }, (socket) => {
    connections += 1;
    const connection = connections;
    let buffer = '';
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk) => {
      bytesIn.count += chunk.length;
      buffer += chunk.toString('latin1');
      const end = buffer.indexOf('\r\n\r\n');
      const length = Number(/^content-length: (\d+)/im.exec(buffer.slice(0, end))?.[1] ?? 0);
      if (end < 0 || buffer.length < end + 4 + length) return;
      const head = buffer.slice(0, end);
      const [method = '', path = ''] = head.split(' ');
      const request = { method, path, head, body: buffer.slice(end + 4, end + 4 + length), connection };
      buffer = buffer.slice(end + 4 + length);
      seen.push(request);
      answerOne(socket, answer(request, seen.length));
    });
  });
  let attempts = 0;
  server.on('connection', () => {
    attempts += 1;
  });
  server.on('tlsClientError', () => {});
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return {
    endpoint: `https://127.0.0.1:${address.port}`,
    seen,
    bytesIn,
    attempts: () => attempts,
    close,
    certificate,
    sockets,
  };
};

export type Peer = Awaited<ReturnType<typeof startPeer>>;

export const clientOf = (
  { endpoint, certificate }: Pick<Peer, 'endpoint' | 'certificate'>,
  options: { fingerprints?: () => Promise<string[]>; timeouts?: Partial<Timeouts> } = {},
) =>
  createProxmox({
    endpoint,
    token: TOKEN,
    node: 'pve1',
    clock: systemClock,
    fingerprints: options.fingerprints ?? (async () => [certificate.fingerprint]),
    ...(options.timeouts ? { timeouts: options.timeouts } : {}),
  });
