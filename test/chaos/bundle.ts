/** A program's sources as they are now, in one file each as they ship: it starts ten times as quickly as through a loader. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { isAlive } from './alive.ts';

const ROOT = join(import.meta.dirname, '../..');

/** @param name of a directory in dist/, with this process's number behind it. @returns the path of `main` */
export const bundleSources = async (name: string, entryPoints: { main: string; [other: string]: string }): Promise<string> => {
  // Within the package, so that what is left out of the bundle is found. A test process that is killed leaves its own to the next.
  const dist = join(ROOT, 'dist');
  mkdirSync(dist, { recursive: true });
  for (const entry of readdirSync(dist)) {
    const pid = entry.startsWith(`${name}-`) ? Number(entry.slice(name.length + 1)) : Number.NaN;
    if (Number.isInteger(pid) && !isAlive(pid)) rmSync(join(dist, entry), { recursive: true, force: true });
  }
  const outdir = join(dist, `${name}-${process.pid}`);
  process.once('exit', () => rmSync(outdir, { recursive: true, force: true }));
  await build({
    entryPoints: Object.fromEntries(Object.entries(entryPoints).map(([entry, path]) => [entry, join(ROOT, path)])),
    outdir,
    splitting: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    conditions: ['source'],
    packages: 'external',
    logLevel: 'silent',
  });
  return join(outdir, 'main.js');
};
