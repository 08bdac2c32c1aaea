/** One client connection: requests in order, answers, keep-alive, and when it is closed. */

import type { Duplex } from 'node:stream';
import type { Outcome, Reply, Request } from './message.ts';
import { serialize } from './message.ts';
import { type Head, parseHead, refuseBody, refuseEarly } from './parser.ts';

/** pveproxy's idle time-out and its limit of requests a connection. */
const IDLE_MS = 5_000;
const MAX_REQUESTS = 100;

export interface App {
  clock: () => number;
  /** Who calls, before the body is read: an answer refuses. */
  authenticate(head: Head): Outcome | { name: string | undefined };
  handle(request: Request, name: string | undefined): Promise<Outcome>;
}

interface Socket extends Duplex {
  setTimeout(ms: number): unknown;
  resetAndDestroy?(): unknown;
}

const delay = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });

/** Serves until either side closes. `reset` tears the connection down as a crashed server does. */
export const serveConnection = (socket: Socket, app: App, reset: () => void): void => {
  let pending = Buffer.alloc(0);
  let busy = false;
  let served = 0;
  const gone = new AbortController();

  const send = async (reply: Reply, head: Head | undefined): Promise<void> => {
    if (reply.delayMs) await delay(reply.delayMs, gone.signal);
    if (socket.destroyed) return;
    served += 1;
    const asked = (head?.headers.connection ?? '').toLowerCase();
    const keep = head?.version === '1.1' && reply.status < 400 && asked !== 'close' && served < MAX_REQUESTS;
    const bytes = serialize(reply, keep, app.clock(), head?.headers['accept-encoding'] ?? '');
    if (keep) socket.write(bytes);
    else socket.end(bytes);
    busy = !keep;
  };

  const settle = async (outcome: Outcome, head: Head): Promise<void> => {
    if (outcome === 'hang') return;
    if (outcome === 'reset') reset();
    else await send(outcome, head);
  };

  const take = async (head: Head, size: number): Promise<void> => {
    const early = refuseEarly(head);
    if (early) return send(early, head);
    const who = app.authenticate(head);
    if (typeof who === 'string' || 'status' in who) return settle(who, head);
    const refused = refuseBody(head);
    if (refused) return send(refused, head);
    const whole = size + head.bodyBytes;
    while (pending.length < whole) {
      if (socket.destroyed || socket.readableEnded) return;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const body = pending.subarray(size, whole);
    pending = pending.subarray(whole);
    await settle(await app.handle({ ...head, body }, who.name), head);
  };

  let wake = (): void => {};

  const next = async (): Promise<void> => {
    if (busy) return;
    const parsed = parseHead(pending);
    if (!parsed) return;
    busy = true;
    socket.setTimeout(0);
    if ('refuse' in parsed) return send(parsed.refuse, undefined);
    await take(parsed.head, parsed.size);
    if (busy || socket.destroyed) return;
    socket.setTimeout(IDLE_MS);
    await next();
  };

  socket.setTimeout(IDLE_MS);
  socket.on('timeout', () => socket.end());
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk]);
    wake();
    next().catch(() => reset());
  });
  socket.on('error', () => socket.destroy());
  socket.on('end', () => wake());
  socket.on('close', () => {
    gone.abort();
    wake();
  });
};
