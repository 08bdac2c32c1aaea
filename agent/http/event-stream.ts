/** Server-sent events on one answer: html.spec.whatwg.org, 9.2. What does not leave fast enough ends the stream, so that it never fills the memory. */
import type { ServerResponse } from 'node:http';
import type { Clock } from '#shared/clock';
import type { NamedEvent } from '#shared/endpoint';

/** So that neither side takes a quiet stream for a dead one. */
const KEEP_ALIVE_MS = 15_000;
/** How long a client waits before it comes again, as the stream itself says. */
const RETRY_MS = 5_000;
/** More than this waiting for one client, and it is let go. */
const BACKLOG_BYTES = 256 * 1024;

const HEAD = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store' };

export interface EventStream {
  /** The first event begins the answer. */
  send(event: NamedEvent): void;
  readonly begun: boolean;
  end(): void;
}

export interface EventStreamPorts {
  clock: Clock;
  nextId: () => string;
  /** Asked now and then: false ends the stream. */
  mayGoOn: () => boolean;
  /** Called when the client reads too slowly and was let go. */
  tooSlow: () => void;
}

/** JSON has no line breaks of its own, so that `data` is always one line. */
const written = (id: string, { event, data }: NamedEvent): string =>
  `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

export const createEventStream = (
  response: ServerResponse,
  { clock, nextId, mayGoOn, tooSlow }: EventStreamPorts,
): EventStream => {
  let state: 'new' | 'open' | 'over' = 'new';
  let cancelBeat = (): void => undefined;

  const over = (): void => {
    state = 'over';
    cancelBeat();
  };

  const write = (text: string): void => {
    if (state !== 'open' || response.destroyed) return;
    if (response.writableLength > BACKLOG_BYTES) {
      over();
      tooSlow();
      response.destroy();
      return;
    }
    response.write(text);
  };

  const beat = (): void => {
    if (mayGoOn()) write(':\n\n');
    else end();
    if (state === 'open') cancelBeat = clock.after(KEEP_ALIVE_MS, beat);
  };

  const begin = (): void => {
    state = 'open';
    response.once('close', over);
    response.writeHead(200, HEAD);
    write(`retry: ${RETRY_MS}\n\n`);
    cancelBeat = clock.after(KEEP_ALIVE_MS, beat);
  };

  const end = (): void => {
    const open = state === 'open';
    over();
    if (open) response.end();
  };

  return {
    send: (event) => {
      if (state === 'new') begin();
      write(written(nextId(), event));
    },
    get begun() {
      return state !== 'new';
    },
    end,
  };
};
