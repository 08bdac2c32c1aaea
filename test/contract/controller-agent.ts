/** A small agent of the test's own: node:https, a fresh certificate, and whatever answers the test wants. */
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SecureVersion } from 'node:tls';
import forge from 'node-forge';
import { createAgentClient } from '#controller/ports/agent-client';
import { bootstrapFile } from '#controller/ports/bootstrap';
import { systemClock } from '#controller/ports/clock';
import type { Bootstrap } from '#shared/bootstrap';

/** Loopback, and nobody else's: other tests that poll a port of 127.0.0.1 must not be counted here. */
const ADDRESS = '127.0.77.1';

export interface Leaf {
  key: string;
  cert: string;
  fingerprint: string;
}

/** RSA 2048 made by Node; node-forge signs the certificate. */
export const makeLeaf = (): Leaf => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKey);
  certificate.serialNumber = '01';
  certificate.validity.notBefore = new Date(Date.now() - 86_400_000);
  certificate.validity.notAfter = new Date(Date.now() + 86_400_000);
  const name = [{ name: 'commonName', value: 'felhom test' }];
  certificate.setSubject(name);
  certificate.setIssuer(name);
  certificate.sign(forge.pki.privateKeyFromPem(privateKey), forge.md.sha256.create());
  const cert = forge.pki.certificateToPem(certificate);
  const fingerprint = createHash('sha256').update(new X509Certificate(cert).raw).digest('hex');
  return { key: privateKey, cert, fingerprint };
};

export const TOKEN = `fht_101_${'A'.repeat(43)}`;
export const envelope = (data: unknown): string => JSON.stringify({ ok: true, data, error: '', code: '' });
export const refused = (code: string, error: string): string => JSON.stringify({ ok: false, data: null, error, code });

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void;

export interface TestAgent {
  port: number;
  /** `METHOD path` and the Authorization header of each request. */
  requests: { line: string; authorization: string; instance: string; body: string }[];
  /** TLS connections. */
  connections: number;
  /** Any byte of a request that came, decrypted. */
  bytes: number;
  handle: Handler;
  /** Cuts every connection. */
  cut(): void;
  close(): Promise<void>;
}

export const startAgent = async (leaf: Leaf, handle: Handler, version?: SecureVersion, port = 0): Promise<TestAgent> => {
  const range = version === undefined ? {} : { minVersion: version, maxVersion: version };
  const server = createServer({ key: leaf.key, cert: leaf.cert, ...range }, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const { authorization = '', 'felhom-instance': instance = '' } = request.headers;
      agent.requests.push({ line: `${request.method} ${request.url}`, authorization, instance: String(instance), body });
      agent.handle(request, response, body);
    });
  });
  server.on('secureConnection', (socket) => {
    agent.connections += 1;
    socket.on('data', (chunk: Buffer) => {
      agent.bytes += chunk.length;
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(port, ADDRESS, resolve));
  const agent: TestAgent = {
    port: (server.address() as AddressInfo).port,
    requests: [],
    connections: 0,
    bytes: 0,
    handle,
    cut: () => server.closeAllConnections(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return agent;
};

/** Removed, closed after each test. */
const cleanups: (() => Promise<unknown>)[] = [];
export const later = (cleanup: () => Promise<unknown>): void => void cleanups.push(cleanup);
export const cleanUp = async (): Promise<void> => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
};

export const scratch = async (): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), 'felhom-controller-'));
  later(() => rm(dir, { recursive: true, force: true }));
  return dir;
};

export const bootstrapOf = (endpoints: [number, string[]][]): Bootstrap => ({
  vmid: 101,
  token: TOKEN,
  endpoints: endpoints.map(([port, fingerprints]) => ({ address: ADDRESS, port, fingerprints })),
});

/** A client whose bootstrap file can be written anew. */
export const startClient = async (bootstrap: Bootstrap) => {
  const file = join(await scratch(), 'bootstrap.json');
  const push = (next: object) => writeFile(file, JSON.stringify(next));
  await push(bootstrap);
  const client = createAgentClient({ source: bootstrapFile(file), clock: systemClock, instance: 'test-instance' });
  later(() => client.close());
  return { client, push, file };
};
