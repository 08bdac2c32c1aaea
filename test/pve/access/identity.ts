/** Who makes a call, and what they may do. */

import { permissionError } from '../api/errors.ts';
import { splitTokenUser } from '../upid.ts';
import type { World } from '../world.ts';
import { privilegesOn } from './permissions.ts';

export interface Identity {
  /** `user@realm`, or `user@realm!token`. */
  readonly name: string;
  readonly user: string;
  readonly tokenid?: string;
  /** The one user that passes every check; never a token. */
  readonly isRoot: boolean;
  /** All of the privileges, or with `any` at least one. */
  may(path: string, privileges: string | readonly string[], any?: 'any'): boolean;
  /** The same, or a 403 that names the path and the privilege. */
  demand(path: string, privileges: string | readonly string[], any?: 'any'): void;
}

export const identify = (world: World, name: string): Identity => {
  const isRoot = name === 'root@pam';
  const list = (privileges: string | readonly string[]) => (typeof privileges === 'string' ? [privileges] : privileges);
  const may: Identity['may'] = (path, privileges, any) => {
    if (isRoot) return true;
    const granted = privilegesOn(world, name, path);
    return any ? list(privileges).some((p) => granted.has(p)) : list(privileges).every((p) => granted.has(p));
  };
  const demand: Identity['demand'] = (path, privileges, any) => {
    if (may(path, privileges, any)) return;
    const missing = any ? list(privileges).join('|') : list(privileges).find((p) => !may(path, p));
    throw permissionError(`${path}, ${missing}`);
  };
  return { name, ...splitTokenUser(name), isRoot, may, demand };
};
