/** What the guests' server and the admin socket have in common: Fastify's settings, and envelopes for what never reaches it. */
import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyServerOptions, fastify } from 'fastify';
import type { FelhomError } from '#shared/errors';
import { type Answer, JSON_TYPE, refuse } from './answer.ts';
import { faultOf, socketFault } from './faults.ts';

/** JSON bodies of this API are a few hundred bytes. */
const BODY_BYTES = 16 * 1024;

/** A client that connects and dawdles is let go; a controller asks at least once a minute. */
export const SERVER_OPTIONS = {
  headersTimeout: 5000,
  requestTimeout: 8000,
  connectionsCheckingInterval: 1000,
  keepAliveTimeout: 75_000,
  // The refusal would not be an envelope.
  requireHostHeader: false,
  noDelay: true,
} as const;

const plain = (fault: FelhomError): Answer => refuse({ endpoint: null, fault, vmid: null, body: undefined });

const FASTIFY_OPTIONS: FastifyServerOptions = {
  logger: false,
  bodyLimit: BODY_BYTES,
  exposeHeadRoutes: false,
  // Answers 503 in a form of its own.
  return503OnClosing: false,
  // No coercion, no defaults, no removal: what was sent is what is judged.
  ajv: { customOptions: { coerceTypes: false, useDefaults: false, removeAdditional: false, allErrors: false, strict: true } },
  // A path that cannot be decoded never reaches the error handler.
  frameworkErrors: (error, _request, reply) => {
    const { status, text } = plain(faultOf(error));
    (reply as FastifyReply).code(status).header('content-type', JSON_TYPE).send(text);
  },
};

/** `makeServer` gets Fastify's request handler. */
export const createApp = <S extends Server | HttpsServer>(
  makeServer: (handler: (request: IncomingMessage, response: ServerResponse) => void) => S,
): { app: FastifyInstance; server: S } => {
  let made: S | undefined;
  const app = fastify({
    ...FASTIFY_OPTIONS,
    clientErrorHandler: (error, socket) => answerOnSocket(error, socket as Socket),
    serverFactory: (handler) => {
      made = makeServer(handler);
      return made as Server;
    },
  });
  if (made === undefined) throw new Error('Fastify asked for no server');
  const server = made;
  // Node.js would answer 417 without a body; so it is refused like anything else (mount.ts).
  server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) =>
    server.emit('request', request, response),
  );
  return { app, server };
};

/** The parser gave up, or the client was too slow. What is not HTTP at all gets nothing. */
const answerOnSocket = (error: Error & { code?: string }, socket: Socket): void => {
  const fault = socketFault(error.code);
  if (fault === null || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, text } = plain(fault);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    `content-type: ${JSON_TYPE}`,
    `content-length: ${Buffer.byteLength(text)}`,
    'cache-control: no-store',
    'connection: close',
  ].join('\r\n');
  socket.end(`${head}\r\n\r\n${text}`, () => socket.destroy());
};
