/** Mounts endpoint values on Fastify: one way from a request to its answer, whatever the endpoint. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AnyEndpoint } from '#shared/endpoint';
import { success } from '#shared/envelope';
import { FelhomError } from '#shared/errors';
import type { Session } from '../guests/authentication.ts';
import type { Journal } from '../ports/journal.ts';
import { JSON_TYPE, refuse } from './answer.ts';
import { faultOf } from './faults.ts';
import type { Call, Caller } from './routes.ts';
import { envelopeOf, forReplies, repair } from './serialize.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a valid token; null before, and for endpoints without one. */
    session: Session | null;
  }
  interface FastifyContextConfig {
    endpoint?: AnyEndpoint;
  }
}

/** Clients in the field read 1 MiB at most; half of it is the contract. */
const ANSWER_BYTES = 512 * 1024;

const ANSWER_HEADERS = { 'content-type': JSON_TYPE, 'cache-control': 'no-store' };

// biome-ignore lint/suspicious/noExplicitAny: handlers of whatever endpoint; their own types are checked where they are made
export type AnyHandler = (call: Call<any> & { guest: Caller }) => unknown;

export interface Mounted {
  endpoints: Record<string, AnyEndpoint>;
  handlers: Record<string, AnyHandler>;
  /** Throws the refusal; null for endpoints without a token. */
  authenticate: (endpoint: AnyEndpoint, request: FastifyRequest) => Session | null;
  journal: Journal;
}

export interface Mount {
  /** Ends every held answer: handlers see their signal aborted. */
  abortAll(): void;
}

export const mount = (app: FastifyInstance, { endpoints, handlers, authenticate, journal }: Mounted): Mount => {
  const live = new Set<AbortController>();

  const sendRefusal = (request: FastifyRequest, reply: FastifyReply, endpoint: AnyEndpoint | null, error: unknown): void => {
    const fault = faultOf(error);
    if (fault.code === 'internal') {
      const stack = fault.cause instanceof Error ? fault.cause.stack : String(fault.cause);
      journal('error', 'A request failed by a mistake in the agent.', { path: endpoint?.path, stack });
    } else if (fault.cause !== undefined && fault.code !== 'invalid-request') {
      journal('warning', 'A request was refused.', { path: endpoint?.path, code: fault.code, cause: String(fault.cause) });
    }
    const { status, text } = refuse({ endpoint, fault, vmid: request.session?.vmid ?? null, body: request.body });
    if (status === 401) reply.header('www-authenticate', 'Bearer');
    reply.code(status).headers(ANSWER_HEADERS).send(text);
  };

  app.decorateRequest('session', null);
  app.setErrorHandler((error, request, reply) => {
    sendRefusal(request, reply, request.routeOptions.config.endpoint ?? null, error);
  });

  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, text, done) => {
    try {
      done(null, text.length === 0 ? {} : JSON.parse(text as string));
    } catch {
      done(new FelhomError('invalid-request', "The request's body is not JSON."));
    }
  });

  for (const [name, endpoint] of Object.entries(endpoints)) {
    const handler = handlers[name];
    if (handler === undefined) throw new Error(`the endpoint ${name} has no handler`);
    mountOne(app, { endpoint, handler, authenticate, sendRefusal, journal, live });
  }

  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const there = Object.values(endpoints).filter((endpoint) => pathMatches(endpoint.path, path));
    const [first] = there;
    if (first === undefined)
      return sendRefusal(request, reply, null, new FelhomError('not-found', 'There is nothing at this path.'));
    const allowed = [...new Set(there.map(({ method }) => method))].join(', ');
    reply.header('allow', allowed);
    const words = `${request.method} is not served at this path; it takes ${allowed}.`;
    sendRefusal(request, reply, first, new FelhomError('method-not-allowed', words));
  });

  return {
    abortAll: () => {
      for (const controller of live) controller.abort();
    },
  };
};

const pathMatches = (template: string, path: string): boolean => {
  const segments = path.split('/');
  const wanted = template.split('/');
  return segments.length === wanted.length && wanted.every((want, index) => want.startsWith('{') || want === segments[index]);
};

interface One {
  endpoint: AnyEndpoint;
  handler: AnyHandler;
  authenticate: Mounted['authenticate'];
  sendRefusal: (request: FastifyRequest, reply: FastifyReply, endpoint: AnyEndpoint, error: unknown) => void;
  journal: Journal;
  live: Set<AbortController>;
}

const mountOne = (app: FastifyInstance, { endpoint, handler, authenticate, sendRefusal, journal, live }: One): void => {
  const status = endpoint.status ?? 200;
  const schema = endpoint.raw ? forReplies(endpoint.reply as object) : envelopeOf(endpoint.reply);

  const render = (reply: FastifyReply, data: unknown): string => {
    const answer = endpoint.raw ? data : success(data);
    try {
      return (reply.getSerializationFunction(status.toString()) as (value: unknown) => string)(answer);
    } catch (error) {
      journal('error', 'An answer did not fit its schema; it was sent as far as it does.', {
        path: endpoint.path,
        cause: String(error),
      });
      return JSON.stringify(repair(schema, answer));
    }
  };

  const send = (request: FastifyRequest, reply: FastifyReply, data: unknown): void => {
    if (reply.sent) return;
    const text = render(reply, data);
    if (text.length * 3 > ANSWER_BYTES && Buffer.byteLength(text) > ANSWER_BYTES) {
      sendRefusal(request, reply, endpoint, new Error(`the answer of ${endpoint.path} would exceed ${ANSWER_BYTES} bytes`));
      return;
    }
    reply.code(status).headers(ANSWER_HEADERS).send(text);
  };

  const run = (request: FastifyRequest, reply: FastifyReply): void => {
    const held = new Held(reply, live);
    const fail = (error: unknown): void => {
      held.over();
      if (!reply.sent && !reply.raw.destroyed) sendRefusal(request, reply, endpoint, error);
    };
    try {
      if (endpoint.stream?.(request.query) && request.session !== null) {
        held.whenOver(
          request.session.openStream((why) => {
            held.abort();
            fail(why);
          }),
        );
      }
      const result = handler(new HandlerCall(request, held));
      const settle = (data: unknown): void => {
        held.over();
        send(request, reply, data);
      };
      if (result instanceof Promise) result.then(settle).catch(fail);
      else settle(result);
    } catch (error) {
      fail(error);
    }
  };

  app.route({
    method: endpoint.method,
    url: endpoint.path.replaceAll(/\{(\w+)\}/g, ':$1'),
    config: { endpoint },
    schema: {
      ...(endpoint.params === undefined ? {} : { params: endpoint.params }),
      ...(endpoint.query === undefined ? {} : { querystring: endpoint.query }),
      ...(endpoint.body === undefined ? {} : { body: endpoint.body }),
      response: { [status]: schema },
    },
    onRequest: (request, _reply, done) => {
      try {
        request.session = authenticate(endpoint, request);
        if (!/^(100-continue)?$/i.test(request.headers.expect ?? '')) throw unexpected();
        if (endpoint.body === undefined) checkScope(endpoint, request.session);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
    ...(endpoint.body === undefined ? {} : { preValidation: scopeAfterBody(endpoint) }),
    handler: run,
  });
};

const unexpected = (): FelhomError =>
  new FelhomError('invalid-request', 'The header "Expect" asks for something that is not served.');

/** Once the body is read, so that a refusal can say what it was about. No body is an empty one. */
const scopeAfterBody =
  (endpoint: AnyEndpoint) =>
  (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void): void => {
    if (request.body === undefined) request.body = {};
    try {
      checkScope(endpoint, request.session);
      done();
    } catch (error) {
      done(error as Error);
    }
  };

const checkScope = (endpoint: AnyEndpoint, session: Session | null): void => {
  if (mayCall(endpoint, session)) return;
  throw new FelhomError('scope-missing', `This guest's token does not have the scope "${endpoint.access}".`);
};

const mayCall = ({ access }: AnyEndpoint, session: Session | null): boolean =>
  access === 'public' || access === 'admin' || access === 'token' || session?.scopes.includes(access) === true;

/**
 * What a handler is given. A class, since a getter in an object literal would give each request's object a shape of its own:
 * measured, that halves the requests per second.
 */
class HandlerCall implements Call<AnyEndpoint> {
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
class Held {
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
