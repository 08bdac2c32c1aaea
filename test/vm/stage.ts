/** The agent as it ships, and what stands for Proxmox, as one archive to be unpacked at the machine's root. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { type BuildOptions, build, type Metafile } from 'esbuild';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8'));

/** What package.json bundles: `agent/main=agent/main.ts`, told there once. */
const agentPrograms = (): Record<string, string> => {
  const command: string = read('package.json').scripts['bundle:programs'];
  const entries = [...command.matchAll(/(?<=\s)(agent\/\S+)=(agent\/\S+\.ts)/g)];
  return Object.fromEntries(entries.map(([, out = '', source = '']) => [out, join(ROOT, source)]));
};

const OPTIONS = {
  ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20.19', conditions: ['source'] },
  ...{ packages: 'external', logLevel: 'silent' },
} as const satisfies BuildOptions;

/** `@scope/name/part` is of `@scope/name`. */
const packageOf = (path: string): string => /^(@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? path;

const importedBy = ({ outputs }: Metafile): string[] =>
  Object.values(outputs)
    .flatMap(({ imports }) => imports)
    .filter(({ path, external }) => external === true && !path.startsWith('node:') && !builtinModules.includes(path))
    .map(({ path }) => packageOf(path));

/** With those that they need themselves. */
const closure = (names: readonly string[]): string[] => {
  const found = new Set<string>();
  const add = (name: string): void => {
    if (found.has(name) || !existsSync(join(ROOT, 'node_modules', name))) return;
    found.add(name);
    for (const needed of Object.keys(read(`node_modules/${name}/package.json`).dependencies ?? {})) add(needed);
  };
  for (const name of names) add(name);
  return [...found];
};

/** Sources of SQLite, types and papers: three quarters of the bytes, and nothing that runs. */
const runs = (path: string): boolean =>
  !/\/better-sqlite3\/(deps|src)(\/|$)|\.(d\.ts|md|map|markdown)$|\/(test|tests|docs|benchmark|examples)$/.test(path);

/** Makes `felhom.tar` in a directory. */
export const stage = async (share: string): Promise<void> => {
  const tree = join(share, 'tree');
  rmSync(tree, { recursive: true, force: true });
  const home = join(tree, 'usr/lib/felhom');
  const programs: [entryPoints: Record<string, string>, directory: string][] = [
    [agentPrograms(), 'dist'],
    [
      {
        'vm/host': join(ROOT, 'test/vm/inside/host.ts'),
        'vm/rounds': join(ROOT, 'test/vm/inside/rounds.ts'),
        'vm/evidence': join(ROOT, 'test/system/drives/evidence-main.ts'),
      },
      'test',
    ],
  ];
  // By the agent's own way, which no bundler sees (ports/proxmox-transport.ts).
  const imported = ['undici'];
  for (const [entryPoints, directory] of programs) {
    const { metafile } = await build({ ...OPTIONS, entryPoints, outdir: join(home, directory), metafile: true });
    imported.push(...importedBy(metafile));
  }
  cpSync(join(ROOT, 'test/fixtures/pve'), join(home, 'test/fixtures/pve'), { recursive: true });
  cpSync(join(ROOT, 'package.json'), join(home, 'package.json'));
  for (const name of closure(imported))
    cpSync(join(ROOT, 'node_modules', name), join(home, 'node_modules', name), { recursive: true, filter: runs });
  const units = join(tree, 'etc/systemd/system');
  mkdirSync(units, { recursive: true });
  cpSync(join(ROOT, 'systemd/felhom-agent.service'), join(units, 'felhom-agent.service'));
  execFileSync('tar', ['-C', tree, '--owner=0', '--group=0', '-cf', join(share, 'felhom.tar'), '.']);
  rmSync(tree, { recursive: true });
};
