/** The OpenAPI document, made from the endpoint values. */
import type { AnyEndpoint } from './endpoint.ts';
import { EnvelopeSchema } from './envelope.ts';

const json = (schema: object) => ({ content: { 'application/json': { schema } } });

/** Shown as a sequence of events; `data` of each is one line of JSON (OpenAPI has no words of its own for streams before 3.2). */
const events = (schema: object) => ({ content: { 'text/event-stream': { schema } } });

const answer = ({ events: streams, raw, reply }: AnyEndpoint) => {
  if (streams) return events(reply);
  return json(raw ? reply : inEnvelope(reply));
};

const inEnvelope = (reply: object) => ({
  ...EnvelopeSchema,
  properties: { ...(EnvelopeSchema as { properties?: object }).properties, data: reply },
});

const parameters = (place: 'path' | 'query', schema: object | undefined) => {
  const { properties = {}, required = [] } = (schema ?? {}) as { properties?: Record<string, object>; required?: string[] };
  return Object.entries(properties).map(([name, value]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema: value,
  }));
};

const operation = (id: string, endpoint: AnyEndpoint) => ({
  operationId: id,
  summary: endpoint.summary,
  ...(endpoint.access === 'public' ? { security: [] } : { 'x-scope': endpoint.access }),
  parameters: [...parameters('path', endpoint.params), ...parameters('query', endpoint.query)],
  ...(endpoint.body ? { requestBody: { required: true, ...json(endpoint.body) } } : {}),
  responses: {
    [endpoint.status ?? 200]: { description: 'Done.', ...answer(endpoint) },
    ...(endpoint.isUnderWay === undefined ? {} : { 202: { description: 'It has begun.', ...answer(endpoint) } }),
    default: { description: 'Refused: `error` is a sentence for people, `code` a stable word.', ...json(EnvelopeSchema) },
  },
});

/** OpenAPI 3.1 (spec.openapis.org/oas/v3.1.1), whose schemas are JSON Schema as they stand. */
export const openapi = (endpoints: Record<string, AnyEndpoint>, version: string): object => {
  const paths: Record<string, Record<string, object>> = {};
  for (const [id, endpoint] of Object.entries(endpoints)) {
    paths[endpoint.path] = { ...paths[endpoint.path], [endpoint.method.toLowerCase()]: operation(id, endpoint) };
  }
  return {
    openapi: '3.1.0',
    info: { title: 'felhom guest API', version, license: { name: 'AGPL-3.0-or-later', identifier: 'AGPL-3.0-or-later' } },
    paths,
    components: { securitySchemes: { guestToken: { type: 'http', scheme: 'bearer' } } },
    security: [{ guestToken: [] }],
  };
};
