/** One request on its way: what its handler is given, and what may end it before its answer. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AnyEndpoint } from '#shared/endpoint';
import type { Call, Caller } from './routes.ts';

/**
 * What a handler is given. A class, since a getter in an object literal would give each request's object a shape of its own:
 * measured, that halves the requests per second.
 */
export class HandlerCall implements Call<AnyEndpoint> {
  readonly body: Call<AnyEndpoint>['body'];
  readonly query: Call<AnyEndpoint>['query'];
  readonly params: Call<AnyEndpoint>['params'];
  /** A public endpoint's handler never reads it. */
  readonly guest: Caller;
  readonly #held: Held;

  constructor(request: FastifyRequest, held: Held) {
    this.body = request.body;
    this.query = request.query;
    this.params = request.params;
    this.guest = request.session as Caller;
    this.#held = held;
  }

  get signal(): AbortSignal {
    return this.#held.signal();
  }
}

/** What may end a request before its answer: its abort signal, made only for handlers that look at it, and its stream's place. */
export class Held {
  readonly #reply: FastifyReply;
  readonly #live: Set<AbortController>;
  #controller: AbortController | null = null;
  #giveBack: (() => unknown) | null = null;
  #clientGone: (() => void) | null = null;

  constructor(reply: FastifyReply, live: Set<AbortController>) {
    this.#reply = reply;
    this.#live = live;
  }

  signal(): AbortSignal {
    if (this.#controller === null) {
      this.#controller = new AbortController();
      this.#live.add(this.#controller);
      this.#clientGone = () => {
        this.abort();
        this.over();
      };
      this.#reply.raw.once('close', this.#clientGone);
    }
    return this.#controller.signal;
  }

  abort(): void {
    this.#controller?.abort();
  }

  /** Called once, when the answer is on its way or nobody waits for it. */
  whenOver(call: () => unknown): void {
    this.#giveBack = call;
  }

  over(): void {
    this.#giveBack?.();
    this.#giveBack = null;
    if (this.#controller === null) return;
    this.#live.delete(this.#controller);
    if (this.#clientGone) this.#reply.raw.off('close', this.#clientGone);
  }
}
