/** Mounts endpoint values on Fastify: one way from a request to its answer, whatever the endpoint. */
import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '#shared/clock';
import type { AnyEndpoint } from '#shared/endpoint';
import { success } from '#shared/envelope';
import { FelhomError } from '#shared/errors';
import type { Session } from '../guests/authentication.ts';
import type { Journal } from '../ports/journal.ts';
import { JSON_TYPE, refuse } from './answer.ts';
import { HandlerCall, Held } from './call.ts';
import { type EventRunPorts, runEvents } from './event-run.ts';
import { faultOf } from './faults.ts';
import type { AnyHandler } from './routes.ts';
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

const ANSWER_HEADERS = { 'content-type': JSON_TYPE, 'cache-control': 'no-store' };

export interface Mounted {
  endpoints: Record<string, AnyEndpoint>;
  handlers: Record<string, AnyHandler>;
  /** Throws the refusal; null for endpoints without a token. */
  authenticate: (endpoint: AnyEndpoint, request: FastifyRequest) => Session | null;
  /** A longer answer is a mistake of ours and is not sent. */
  answerBytes: number;
  clock: Clock;
  journal: Journal;
}

export interface Mount {
  /** Ends every held answer: handlers see their signal aborted. */
  abortAll(): void;
}

export const mount = (app: FastifyInstance, mounted: Mounted): Mount => {
  const { endpoints, handlers, journal } = mounted;
  const live = new Set<AbortController>();
  const nextId = eventIds();

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
    mountOne(app, { ...mounted, endpoint, handler, sendRefusal, live, nextId });
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

/** Numbers that show a client another start of the agent, as a status's revision does. Nothing is replayed by them. */
const eventIds = (): (() => string) => {
  const epoch = randomBytes(4).toString('hex');
  let count = 0;
  return () => {
    count += 1;
    return `${epoch}.${count}`;
  };
};

interface One extends Omit<Mounted, 'endpoints' | 'handlers'>, EventRunPorts {}

const mountOne = (app: FastifyInstance, one: One): void => {
  const { endpoint, handler, authenticate, sendRefusal, answerBytes, journal, live } = one;
  const status = endpoint.status ?? 200;
  const schema = endpoint.raw ? forReplies(endpoint.reply as object) : envelopeOf(endpoint.reply);

  const statusOf = (data: unknown): number => (endpoint.isUnderWay?.(data) ? 202 : status);

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
    if (text.length * 3 > answerBytes && Buffer.byteLength(text) > answerBytes) {
      sendRefusal(request, reply, endpoint, new Error(`the answer of ${endpoint.path} would exceed ${answerBytes} bytes`));
      return;
    }
    reply.code(statusOf(data)).headers(ANSWER_HEADERS).send(text);
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
      ...(endpoint.events ? {} : { response: { [status]: schema } }),
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
    handler: endpoint.events ? runEvents(one) : run,
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
