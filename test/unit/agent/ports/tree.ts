/** Temporary directories that stand for /sys, /proc and /dev. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';

/** Contents by path; a value that begins with `->` is a symbolic link; a path that ends in `/` is an empty directory. */
export type Tree = Readonly<Record<string, string | Buffer>>;

const plant = async (root: string, path: string, content: string | Buffer) => {
  const at = join(root, path);
  if (path.endsWith('/')) return mkdir(at, { recursive: true });
  await mkdir(dirname(at), { recursive: true });
  return typeof content === 'string' && content.startsWith('->') ? symlink(content.slice(2), at) : writeFile(at, content);
};

export const makeTree = async (tree: Tree): Promise<string> => {
  const root = await mkdtemp(join(tmpdir(), 'felhom-tree-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(tree)) await plant(root, path, content);
  return root;
};
