/** One way from a request for events to the end of their stream. Until the first event it is refused like any other. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '#shared/clock';
import type { AnyEndpoint, NamedEvent } from '#shared/endpoint';
import { FelhomError } from '#shared/errors';
import type { Journal } from '../ports/journal.ts';
import { HandlerCall, Held } from './call.ts';
import { createEventStream, type EventStream } from './event-stream.ts';
import type { AnyHandler } from './routes.ts';

export interface EventRunPorts {
  endpoint: AnyEndpoint;
  handler: AnyHandler;
  sendRefusal: (request: FastifyRequest, reply: FastifyReply, endpoint: AnyEndpoint, error: unknown) => void;
  /** What is held now. */
  live: Set<AbortController>;
  nextId: () => string;
  clock: Clock;
  journal: Journal;
}

export const runEvents = ({ endpoint, handler, sendRefusal, live, nextId, clock, journal }: EventRunPorts) => {
  const streamOf = ({ session }: FastifyRequest, reply: FastifyReply): EventStream =>
    createEventStream(reply.raw, {
      clock,
      nextId,
      mayGoOn: () => session === null || session.isLive(),
      tooSlow: () => journal('info', 'A client read its events too slowly and was let go.', { vmid: session?.vmid }),
    });

  return (request: FastifyRequest, reply: FastifyReply): void => {
    const held = new Held(reply, live);
    const stream = streamOf(request, reply);

    /** Fastify lets go of the answer with the first event. Nothing follows a refusal. */
    const send = (event: NamedEvent): void => {
      if (reply.raw.destroyed || (reply.sent && !stream.begun)) return;
      if (!stream.begun) reply.hijack();
      stream.send(event);
    };
    const finish = (why: unknown): void => {
      held.over();
      if (stream.begun) {
        stream.end();
        if (!(why instanceof FelhomError))
          journal('error', 'A stream of events failed.', { path: endpoint.path, why: String(why) });
      } else if (!reply.sent && !reply.raw.destroyed) sendRefusal(request, reply, endpoint, why);
    };
    const end = (): void => {
      held.over();
      stream.end();
    };

    try {
      const giveBack = request.session?.openStream((why) => {
        held.abort();
        finish(why);
      });
      if (giveBack !== undefined) held.whenOver(giveBack);
      // From here on a client that goes ends it, whether or not the handler looks.
      held.signal();
      Promise.resolve(handler(new HandlerCall(request, held), send)).then(end, finish);
    } catch (error) {
      finish(error);
    }
  };
};
