/** The API's real schema: which paths and methods exist, and what each says of parameters and permissions. */

import { readFixture } from '../fixtures.ts';

export interface Property {
  type?: string;
  format?: string | Record<string, Property>;
  pattern?: string;
  optional?: 0 | 1;
  enum?: (string | number)[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  requires?: string;
  items?: Property;
  properties?: Record<string, Property>;
  additionalProperties?: 0 | 1;
  default?: unknown;
  default_key?: 0 | 1;
  alias?: string;
}

/** An expression such as `["perm", "/vms/{vmid}", ["VM.Audit"]]`. */
export type Check = [string, ...unknown[]];

export interface Method {
  method: string;
  name: string;
  parameters?: { additionalProperties?: 0 | 1; properties?: Record<string, Property> };
  permissions?: { user?: 'all' | 'world'; check?: Check };
  allowtoken?: 0 | 1;
  protected?: 0 | 1;
  proxyto?: string | null;
  returns?: { type?: string; links?: { href?: string }[] };
}

export interface Found {
  /** The template, such as `/nodes/{node}/lxc`. */
  template: string;
  method: Method;
  pathParams: Record<string, string>;
}

interface Level {
  literals: Map<string, Level>;
  parameter?: { name: string; level: Level };
  template?: string;
  methods?: Record<string, Method>;
}

const emptyLevel = (): Level => ({ literals: new Map() });

const descend = (level: Level, component: string): Level => {
  const name = /^\{(.+)\}$/.exec(component)?.[1];
  if (name !== undefined) {
    level.parameter ??= { name, level: emptyLevel() };
    return level.parameter.level;
  }
  let next = level.literals.get(component);
  if (!next) {
    next = emptyLevel();
    level.literals.set(component, next);
  }
  return next;
};

/** Volume ids contain slashes: below this template the rest of the path is one component. */
const REST_OF_PATH = '/nodes/{node}/storage/{storage}/content';

export interface ApiSchema {
  readonly paths: readonly { path: string; info: Record<string, Method> }[];
  find(method: string, path: string): Found | undefined;
}

const compile = (text: string): ApiSchema => {
  const paths = JSON.parse(text) as { path: string; info: Record<string, Method> }[];
  const root = emptyLevel();
  for (const { path, info } of paths) {
    const level = path.split('/').filter(Boolean).reduce(descend, root);
    level.template = path;
    level.methods = info;
  }
  root.template = '/';
  root.methods = { GET: { method: 'GET', name: 'index', parameters: { additionalProperties: 0 }, permissions: { user: 'all' } } };

  const find: ApiSchema['find'] = (method, path) => {
    const components = path.split('/').filter(Boolean);
    const pathParams: Record<string, string> = {};
    let level = root;
    for (let i = 0; i < components.length; i++) {
      let component = components[i] ?? '';
      const literal = level.literals.get(component);
      if (literal) {
        level = literal;
        continue;
      }
      // Proxmox matches a parameter's place in the path with \S+.
      if (!level.parameter || /\s/.test(component)) return undefined;
      if (level.template === REST_OF_PATH) {
        component = components.slice(i).join('/');
        i = components.length;
      }
      pathParams[level.parameter.name] = component;
      level = level.parameter.level;
    }
    const found = level.methods?.[method];
    return found && level.template !== undefined ? { template: level.template, method: found, pathParams } : undefined;
  };
  return { paths, find };
};

let loaded: ApiSchema | undefined;

/** Parsed once: 441 paths. */
export const apiSchema = (): ApiSchema => {
  loaded ??= compile(readFixture('apidata-9.2.json'));
  return loaded;
};
