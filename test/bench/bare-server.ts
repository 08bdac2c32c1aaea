/** The yardstick: what Fastify does over TLS with one plain handler, no schema, no hook, no log. */
import Fastify from 'fastify';
import { answerQuestions } from './children.ts';

export interface BareOptions {
  key: string;
  cert: string;
  /** What each path answers. */
  answers: Record<string, object>;
}

answerQuestions(async ({ key, cert, answers }: BareOptions): Promise<{ port: number }> => {
  const server = Fastify({ https: { key, cert, minVersion: 'TLSv1.2' } });
  for (const [path, body] of Object.entries(answers)) server.get(path, (_request, reply) => reply.send(body));
  const origin = await server.listen({ host: '127.0.0.1', port: 0 });
  return { port: Number(new URL(origin).port) };
});
