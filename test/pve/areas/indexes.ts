/** Indexes: the names below a path, straight from the schema. */

import { apiSchema, type Method } from '../api/schema.ts';
import type { Area } from '../sim.ts';

/** Names that the schema has below a path and the real index leaves out. */
const LEFT_OUT: Record<string, string[]> = {
  '/nodes/{node}': ['vncwebsocket', 'execute'],
  '/nodes/{node}/lxc/{vmid}': ['template', 'mtunnel', 'feature', 'move_volume', 'mtunnelwebsocket', 'remote_migrate'],
  '/cluster/sdn': ['dry-run', 'lock', 'rollback'],
};

/** Key of the child's name in the answer, where the answer is an index at all. */
const linkKey = (method: Method | undefined): string | undefined =>
  /^\{(\w+)\}$/.exec(method?.returns?.links?.[0]?.href ?? '')?.[1];

const children = (path: string): string[] => {
  const below = apiSchema()
    .paths.filter((p) => p.path.startsWith(`${path}/`))
    .map((p) => p.path.slice(path.length + 1).split('/')[0] ?? '');
  return [...new Set(below)];
};

export const indexes = (): Area => {
  const area: Record<string, () => unknown> = {
    'GET /': () => ['version', 'cluster', 'nodes', 'storage', 'access', 'pools'].map((subdir) => ({ subdir })),
  };
  for (const { path, info } of apiSchema().paths) {
    const key = linkKey(info.GET);
    const names = children(path).filter((name) => !LEFT_OUT[path]?.includes(name));
    if (key === undefined || names.length === 0 || names.some((name) => name.startsWith('{'))) continue;
    area[`GET ${path}`] = () => names.map((name) => ({ [key]: name }));
  }
  return area;
};
