/** `/pve-docs/api-viewer/apidoc.js`: the schema as the API viewer loads it, a tree of paths. */

import { apiSchema, type Method } from './api/schema.ts';

interface TreeNode {
  path: string;
  text: string;
  leaf: 0 | 1;
  info?: Record<string, Method>;
  children?: TreeNode[];
}

const tree = (): TreeNode[] => {
  const nodes = new Map<string, TreeNode>();
  const roots: TreeNode[] = [];
  const at = (path: string): TreeNode => {
    const known = nodes.get(path);
    if (known) return known;
    const cut = path.lastIndexOf('/');
    const node: TreeNode = { path, text: path.slice(cut + 1), leaf: 1 };
    nodes.set(path, node);
    if (cut === 0) roots.push(node);
    else {
      const parent = at(path.slice(0, cut));
      parent.leaf = 0;
      parent.children = [...(parent.children ?? []), node];
    }
    return node;
  };
  for (const { path, info } of apiSchema().paths) at(path).info = info;
  return roots;
};

let cached: string | undefined;

export const apidocText = (): string => {
  cached ??= `const apiSchema = ${JSON.stringify(tree())}\n;\n`;
  return cached;
};
