/** Ports of this machine's loopback, and whether something answers there. */
import { request } from 'node:https';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Free a moment ago. */
export const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });

/** Whether `/healthz` answers 200. Whose certificate it is does not matter here. */
const healthy = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, path: '/healthz', agent: false, rejectUnauthorized: false, timeout: 5_000 });
    sent.once('timeout', () => sent.destroy());
    sent.once('error', () => resolve(false));
    sent.once('response', (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    sent.end();
  });

const EVERY_MS = 5;

/** Asks again and again until there is a 200; false when the program has ended or the time is up. */
export const firstAnswer = async (
  port: number,
  { alive, timeoutMs }: { alive: () => boolean; timeoutMs: number },
): Promise<boolean> => {
  const deadline = performance.now() + timeoutMs;
  while (alive() && performance.now() < deadline) {
    if (await healthy(port)) return true;
    await pause(EVERY_MS);
  }
  return false;
};
