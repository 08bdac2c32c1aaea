/** The HTTP application: static files, authentication, faults, and the API below `/api2`. */

import { authenticate, Unauthorized } from './access/authenticate.ts';
import { createDispatch, needsLogin, readTarget } from './api/dispatch.ts';
import { apidocText } from './apidoc.ts';
import { type Effect, type FaultsInside, proxyError } from './faults.ts';
import type { App } from './http/connection.ts';
import type { Outcome, Reply } from './http/message.ts';
import type { Head } from './http/parser.ts';
import type { Sim } from './sim.ts';

export interface LoggedRequest {
  method: string;
  path: string;
  /** Milliseconds since 1970, by the simulator's clock. */
  at: number;
}

const KEPT_REQUESTS = 10_000;

const staticFile = (path: string): Outcome => {
  if (path === '/pve-docs/api-viewer/apidoc.js')
    return { status: 200, contentType: 'application/javascript', body: apidocText() };
  if (path === '/')
    return { status: 200, contentType: 'text/html; charset=UTF-8', body: '<!DOCTYPE html>\n<title>Proxmox VE</title>\n' };
  if (path === '/api2') return { status: 501, reason: 'no such uri', body: 'no such uri' };
  return { status: 500, reason: `no such file '${path}'`, body: `no such file '${path}'\n` };
};

const PMXCFS_DOWN = 'RPCEnvironment init request failed: Unable to load access control list: Connection refused';

export interface AppHandle extends App {
  readonly requests: LoggedRequest[];
  close(): void;
}

export const createApp = (sim: Sim, faults: FaultsInside, unauthorizedDelayMs: number): AppHandle => {
  const dispatch = createDispatch(sim, faults);
  const requests: LoggedRequest[] = [];

  const unauthorized = (reason: string): Reply => ({ status: 401, reason, delayMs: unauthorizedDelayMs });

  const login: App['authenticate'] = (head: Head) => {
    const target = readTarget(head.target);
    requests.push({ method: head.method, path: head.target, at: sim.clock() });
    if (requests.length > KEPT_REQUESTS) requests.shift();
    if (target.format === '') return { name: undefined };
    if (faults.pmxcfs === 'stopped') return { status: 500, reason: PMXCFS_DOWN };
    const { cookie = '', authorization = '', csrfpreventiontoken: csrf = '' } = head.headers;
    try {
      return {
        name: authenticate(
          sim.world,
          sim.tickets,
          { cookie, authorization, csrf, method: head.method },
          Math.floor(sim.clock() / 1000),
        ),
      };
    } catch (error) {
      if (!(error instanceof Unauthorized)) throw error;
      return needsLogin(head.method, target) ? unauthorized(error.message) : { name: undefined };
    }
  };

  /** The fault instead of the answer; the work is done first where the fault says so. */
  const spoil = async (effect: Effect, work: () => Promise<Outcome>): Promise<Outcome> => {
    if ('delayMs' in effect) {
      const outcome = await work();
      return typeof outcome === 'string' ? outcome : { ...outcome, delayMs: effect.delayMs };
    }
    if (effect.after === 'work') await work();
    if ('answer' in effect) return proxyError(effect.answer);
    return 'reset' in effect ? 'reset' : 'hang';
  };

  return {
    clock: sim.clock,
    requests,
    authenticate: login,
    handle: async (request, name) => {
      const target = readTarget(request.target);
      const work = async (): Promise<Outcome> => {
        if (target.format === '') return staticFile(target.path);
        const outcome = await dispatch.answer(request, target, name);
        // A failed login is held back like any other 401.
        return typeof outcome !== 'string' && outcome.status === 401 ? { ...outcome, delayMs: unauthorizedDelayMs } : outcome;
      };
      const effect = faults.take({ method: request.method, path: target.path });
      return effect ? spoil(effect, work) : work();
    },
    close: dispatch.close,
  };
};
