/** From a request to its answer: format, path, permission, proxying, parameters, handler — in pveproxy's order. */

import { checkPermissions } from '../access/check.ts';
import { identify } from '../access/identity.ts';
import { AREAS } from '../areas/table.ts';
import { type FaultsInside, proxyError } from '../faults.ts';
import { decodeParameters, decodePath, decodeUpload } from '../http/decode.ts';
import type { Outcome, Reply, Request } from '../http/message.ts';
import { JSON_TYPE } from '../http/message.ts';
import { Answer, Download, type Sim } from '../sim.ts';
import { ApiError, died, notImplemented, permissionError } from './errors.ts';
import { apiSchema, type Found } from './schema.ts';
import { type Params, validate } from './validate.ts';

type Format = 'json' | 'extjs';

const FORMATS: readonly string[] = ['json', 'extjs'];

/** Calls that work without a login. */
const OPEN: readonly string[] = [
  'GET /access/domains',
  'GET /access/ticket',
  'POST /access/ticket',
  'POST /access/vncticket',
  'POST /access/openid/login',
  'POST /access/openid/auth-url',
];

export interface Target {
  path: string;
  query: string;
  /** Of `/api2/FORMAT/rest`. */
  format: string;
  rest: string;
}

export const readTarget = (target: string): Target => {
  const [raw = '', ...query] = target.split('?');
  const path = decodePath(raw);
  const [, format = '', rest = ''] = /^\/api2\/([^/]+)(.*)$/.exec(path) ?? [];
  return { path, query: query.join('?'), format, rest: `/${rest}`.replace(/\/+/g, '/').replace(/(.)\/$/, '$1') };
};

export const needsLogin = (method: string, target: Target): boolean =>
  target.format !== '' && !OPEN.includes(`${method} ${target.rest}`);

const json = (status: number, body: Record<string, unknown>, reason?: string): Reply => ({
  status,
  ...(reason === undefined ? {} : { reason }),
  contentType: JSON_TYPE,
  body: JSON.stringify(body),
});

const failure = (error: ApiError, format: Format): Reply => {
  if (error.plain) return { status: error.status, reason: error.message, body: error.message };
  const body = { data: null, message: error.message, ...(error.errors ? { errors: error.errors } : {}) };
  if (format === 'json' || error.status === 401) return json(error.status, body, error.message);
  return json(200, { ...body, success: 0, status: error.errors ? String(error.status) : error.status });
};

const success = (result: unknown, format: Format): Reply => {
  if (result instanceof Download)
    return {
      status: 200,
      contentType: 'text/plain',
      headers: { 'Content-Disposition': `attachment; filename="${result.filename}"` },
      body: result.text,
    };
  const answer = result instanceof Answer ? result : new Answer(result ?? null);
  return json(200, {
    data: answer.data,
    ...(answer.total === undefined || answer.total === 0 ? {} : { total: answer.total }),
    ...(format === 'extjs' ? { success: 1 } : {}),
  });
};

/** Another node: its name must resolve, and nothing answers there. */
const otherNode = (sim: Sim, found: Found, params: Params): Outcome | undefined => {
  if (found.method.proxyto !== 'node' || typeof params.node !== 'string') return undefined;
  if (params.node === 'localhost' || params.node === sim.world.node) return undefined;
  if (sim.world.resolvable?.includes(params.node)) return proxyError(595);
  const why = `failed to get address info for: ${params.node}: Name or service not known`;
  throw died(`hostname lookup '${params.node}' failed - ${why}`);
};

export const createDispatch = (sim: Sim, faults: FaultsInside) => {
  const call = async (request: Request, target: Target, name: string | undefined): Promise<Outcome> => {
    const contentType = request.headers['content-type'] ?? '';
    const upload = decodeUpload(request.body, contentType);
    const uploadBytes = upload?.fileBytes;
    const given = upload?.fields ?? decodeParameters(target.query, request.body, contentType);
    const found = apiSchema().find(request.method, target.rest);
    if (!found) throw notImplemented(request.method, target.rest);
    const who = identify(sim.world, name ?? '');
    if (found.method.allowtoken === 0 && who.tokenid !== undefined)
      throw permissionError(`URI '${target.rest}' not available with API token, need proper ticket.\n`);
    const params = { ...given, ...found.pathParams };
    checkPermissions(sim.world, name === undefined ? undefined : who, found.method, params);
    const elsewhere = otherNode(sim, found, params);
    if (elsewhere) return elsewhere;
    if (found.method.protected && faults.pvedaemon === 'stopped') return proxyError(595);
    if (found.method.protected && faults.pvedaemon === 'silent') return lateProxyError();
    const handler = AREAS[`${request.method} ${found.template}`];
    const valid = validate(found.method, params);
    if (!handler) throw new ApiError(501, `the simulator has no ${request.method} ${found.template}`);
    const now = Math.floor(sim.clock() / 1000);
    const work = Promise.resolve(
      handler({ sim, world: sim.world, who, params: valid, now, ...(uploadBytes === undefined ? {} : { uploadBytes }) }),
    );
    const result = found.method.protected ? await withinProxyTimeout(work) : await work;
    if (result === LATE) return proxyError(596);
    const reply = success(result, target.format as Format);
    return found.method.protected ? { ...reply, relayed: true } : reply;
  };

  const LATE = Symbol('pvedaemon did not answer in time');
  let timers: NodeJS.Timeout[] = [];

  const afterTimeout = <T>(value: T): Promise<T> =>
    new Promise((resolve) => {
      timers.push(setTimeout(() => resolve(value), faults.proxyTimeoutMs));
    });

  const lateProxyError = (): Promise<Outcome> => afterTimeout(proxyError(596));

  const withinProxyTimeout = async (work: Promise<unknown>): Promise<unknown> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(() => resolve(LATE), faults.proxyTimeoutMs);
      timers.push(timer);
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(timer);
      timers = timers.filter((other) => other !== timer);
    }
  };

  const answer = async (request: Request, target: Target, name: string | undefined): Promise<Outcome> => {
    if (!FORMATS.includes(target.format)) {
      const reason = `no formatter for uri ${target.rest}, ${target.format}`;
      return { status: 501, reason, body: reason };
    }
    try {
      return await call(request, target, name);
    } catch (error) {
      if (error instanceof ApiError) return failure(error, target.format as Format);
      return failure(died(error instanceof Error ? error.message : String(error)), target.format as Format);
    }
  };

  return {
    answer,
    close: (): void => {
      for (const timer of timers) clearTimeout(timer);
    },
  };
};
