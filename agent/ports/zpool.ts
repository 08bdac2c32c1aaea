/** The imported ZFS pools and what they lie on, as zpool(8) lists them. It asks the kernel; no drive is read. */
import { NotUnderstood } from '../not-understood.ts';
import type { RunCommand } from './command.ts';

/** An imported ZFS pool, as `zpool status -LP` lists it: also its spares, logs and caches. */
export interface ZfsPool {
  name: string;
  guid: string;
  /** `/dev/sdb1`. */
  devices: readonly string[];
}

export interface Zpool {
  pools(): Promise<ZfsPool[]>;
}

/** Lines `name<TAB>guid`. */
const LIST = ['list', '-H', '-p', '-o', 'name,guid'];
/** `-P` whole paths, `-L` without links: `/dev/sdb1`. */
const STATUS = ['status', '-P', '-L'];

const guids = (list: string): Map<string, string> =>
  new Map(
    list
      .split('\n')
      .filter((line) => line !== '')
      .map((line): [string, string] => {
        const [, name, guid] = /^([A-Za-z][\w.: -]*)\t(\d+)$/.exec(line) ?? [];
        if (name === undefined || guid === undefined) throw new NotUnderstood('its list of pools is not understood');
        return [name, guid];
      }),
  );

/** What stands between `config:` and `errors:`, without the heading: a tab, then two blanks for each level. */
const configOf = (block: string): string[] => {
  const [, config] = /^config:\n\n((?:\t.*\n)+)/m.exec(block) ?? [];
  const [heading = '', ...lines] = (config ?? '').split('\n').filter((line) => line.trim() !== '');
  if (!/^\tNAME\s+STATE\s/.test(heading) || lines.length < 2) throw new NotUnderstood('its list of devices is not understood');
  return lines;
};

/** Mirrors and the like are no paths, nor is a drive that is gone: of that one the last path known stands behind, `was /dev/sdc1`. */
const pathIn = (line: string): string[] => {
  const [, path] = /^\t\s*(\/.*?)(?:\s{2,}|$)/.exec(line) ?? /\s{2}was (\/\S+)/.exec(line) ?? [];
  return path === undefined ? [] : [path];
};

/** @param list of `LIST` @param status of `STATUS`, the same pools in any order @throws NotUnderstood for anything else */
export const parsePools = (list: string, status: string): ZfsPool[] => {
  const [, ...blocks] = `\n${status}`.split(/\n\s+pool: /);
  const known = guids(list);
  const pools = blocks.map((block) => {
    const name = block.split('\n', 1)[0] ?? '';
    const lines = configOf(`${block}\n`);
    const guid = known.get(name);
    if (guid === undefined || !lines[0]?.startsWith(`\t${name} `)) throw new NotUnderstood('its two answers do not agree');
    return { name, guid, devices: lines.slice(1).flatMap(pathIn) };
  });
  if (new Set(pools.map(({ name }) => name)).size !== known.size) throw new NotUnderstood('its two answers do not agree');
  return pools;
};

export const createZpool = (run: RunCommand): Zpool => ({
  pools: async () => {
    const list = await run('zpool', LIST);
    return list.trim() === '' ? [] : parsePools(list, await run('zpool', STATUS));
  },
});
