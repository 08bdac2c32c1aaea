/** Evaluates a schema's `permissions` expression for a call (RPCEnvironment.pm, check_api2_permissions). */

import { ApiError, died, permissionError } from '../api/errors.ts';
import { splitList, userIdProblem } from '../api/formats.ts';
import type { Check, Method } from '../api/schema.ts';
import type { Params } from '../api/validate.ts';
import type { World } from '../world.ts';
import type { Identity } from './identity.ts';
import { normalizePath } from './paths.ts';

interface Asked {
  world: World;
  who: Identity;
  params: Params;
}

const text = (params: Params, name: string): string => (typeof params[name] === 'string' ? params[name] : '');

/** A template value that is missing, empty or `0` becomes `-`. */
const fill = (template: string, params: Params): string | undefined =>
  normalizePath(
    template.replace(/\{([^}]+)\}/g, (_all, name: string) => {
      const value = text(params, name);
      return value === '' || value === '0' ? '-' : value;
    }),
  );

const options = (list: unknown[]): Record<string, unknown> =>
  Object.fromEntries(list.flatMap((key, i) => (i % 2 === 0 ? [[String(key), list[i + 1]]] : [])));

const perm = ({ who, params }: Asked, [template, privileges, ...rest]: unknown[]): void => {
  const { any, require_param } = options(rest);
  if (require_param !== undefined && params[String(require_param)] === undefined) throw permissionError();
  const path = fill(String(template), params);
  // Nobody has a right on a path with characters that no path may have.
  if (path === undefined) throw permissionError(`, ${(privileges as string[]).join('|')}`);
  who.demand(path, privileges as string[], any ? 'any' : undefined);
};

const userParam = ({ who, params }: Asked, [what]: unknown[]): void => {
  const userid = text(params, 'userid');
  if (what === 'self') {
    if (userid !== who.name) throw permissionError();
    return;
  }
  const problem = userIdProblem(userid);
  if (problem !== undefined) throw died(problem);
  who.demand(`/access/realm/${userid.split('@').pop()}`, String(what));
};

const userGroup = ({ world, who, params }: Asked, [privileges, ...rest]: unknown[]): void => {
  const mode = options(rest).groups_param;
  const privs = privileges as string[];
  const user = world.users.get(text(params, 'userid'));
  if (mode !== 'create' && !user) throw died(`no such user ('${text(params, 'userid')}')`);
  if (who.may('/access/groups', privs, 'any')) return;
  const allowed = (group: string) => who.may(`/access/groups/${group}`, privs, 'any');
  if (mode !== undefined) {
    const asked = splitList(text(params, 'groups'));
    if (asked.length === 0 && mode === 'create') throw permissionError();
    if (!asked.every(allowed)) throw permissionError();
  }
  if (mode !== 'create' && !(user?.groups ?? []).some(allowed)) throw permissionError();
};

const MODIFY: [RegExp, string][] = [
  [/^\/storage\//, 'Datastore.Allocate'],
  [/^\/vms\//, 'VM.Allocate'],
  [/^\/pool\//, 'Pool.Allocate'],
];

const permModify = ({ who, params }: Asked, [template]: unknown[]): void => {
  const path = fill(String(template), params) ?? '';
  const more = MODIFY.filter(([pattern]) => pattern.test(path)).map(([, privilege]) => privilege);
  who.demand(path, ['Permissions.Modify', ...more], 'any');
};

const OPERATORS: Record<string, (asked: Asked, args: unknown[]) => void> = {
  perm,
  'userid-param': userParam,
  'userid-group': userGroup,
  'perm-modify': permModify,
  and: (asked, checks) => {
    for (const check of checks) evaluate(asked, check as Check);
  },
  or: (asked, checks) => {
    if (!checks.some((check) => passes(asked, check as Check))) throw permissionError();
  },
};

const evaluate = (asked: Asked, [operator, ...args]: Check): void => {
  OPERATORS[operator]?.(asked, args);
};

const passes = (asked: Asked, check: Check): boolean => {
  try {
    evaluate(asked, check);
    return true;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
};

/** Throws the 403; a method without `permissions` is for root@pam only. */
export const checkPermissions = (world: World, who: Identity | undefined, method: Method, params: Params): void => {
  if (method.permissions?.user === 'world') return;
  if (!who) throw permissionError();
  if (who.isRoot || method.permissions?.user === 'all') return;
  if (!method.permissions?.check) throw permissionError();
  evaluate({ world, who, params }, method.permissions.check);
};
