/** Proxmox's cluster file system: whether it is there and writable, and on which node each guest is. */
import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { NotUnderstood } from '../not-understood.ts';
import { nodeNameIn } from './node-files.ts';
import type { GuestType } from './proxmox.ts';

export interface PmxcfsView {
  /** `no-quorum`: readable, but this node may change nothing and the others may have moved on. */
  state: 'ok' | 'not-mounted' | 'no-quorum';
  guests: Map<number, { node: string; type: GuestType }>;
}

export interface Pmxcfs {
  /** Never rejects, and answers within five seconds: a file system that hangs counts as not mounted. */
  read(): Promise<PmxcfsView>;
}

/** Where Proxmox mounts it; anywhere else stands a copy of it. */
export const PMXCFS = '/etc/pve';
/** statfs(2), FUSE_SUPER_MAGIC. */
const FUSE = 0x65735546;
const DEADLINE_MS = 5000;

const nothing = (): PmxcfsView => ({ state: 'not-mounted', guests: new Map() });

type Json = Record<string, unknown>;
const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});

/** Files that pmxcfs makes up when they are read (pmxcfs/status.c); an empty directory below an unmounted one has none. */
const madeUp = async (configDir: string, name: string): Promise<Json> =>
  record(JSON.parse(await readFile(join(configDir, name), 'utf8')) as unknown);

const guestsIn = ({ ids }: Json): PmxcfsView['guests'] =>
  new Map(
    Object.entries(record(ids)).flatMap(([vmid, facts]) => {
      const { node, type } = record(facts);
      if (typeof node !== 'string' || (type !== 'lxc' && type !== 'qemu')) return [];
      return [[Number(vmid), { node, type }] as const];
    }),
  );

/** A node that is in no cluster has no `cluster` and needs no quorum. */
const hasQuorum = ({ cluster }: Json): boolean => cluster === undefined || Number(record(cluster).quorate) === 1;

const isMounted = async (configDir: string): Promise<boolean> => configDir !== PMXCFS || (await statfs(configDir)).type === FUSE;

/** Resolves to this node's name where the file system is mounted, answers and knows whose it is; rejects where one of these fails. */
export const assertPmxcfs = async (configDir: string): Promise<string> => {
  if (!(await isMounted(configDir))) throw new NotUnderstood(`${configDir} is not mounted`);
  await madeUp(configDir, '.version').catch((error: unknown) => {
    throw new NotUnderstood(`${configDir} has no .version that can be read`, { cause: error });
  });
  const node = await nodeNameIn(configDir);
  if (node === null) throw new NotUnderstood(`${configDir} does not say which node this is`);
  return node;
};

/** One file after the other: where it hangs, it holds one of Node's four threads for files. */
const readNow = async (configDir: string): Promise<PmxcfsView> => {
  if (!(await isMounted(configDir))) return nothing();
  const vmlist = await madeUp(configDir, '.vmlist');
  const members = await madeUp(configDir, '.members');
  return { state: hasQuorum(members) ? 'ok' : 'no-quorum', guests: guestsIn(vmlist) };
};

export const createPmxcfs = (configDir: string, deadlineMs = DEADLINE_MS): Pmxcfs => {
  /** One at a time: a hung one costs one thread, not one more at every look. */
  let reading: Promise<PmxcfsView> | null = null;
  const shared = (): Promise<PmxcfsView> => {
    reading ??= readNow(configDir)
      .catch(nothing)
      .finally(() => {
        reading = null;
      });
    return reading;
  };
  return {
    read: async () => {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<PmxcfsView>((resolve) => {
        timer = setTimeout(() => resolve(nothing()), deadlineMs);
      });
      return Promise.race([shared(), late]).finally(() => clearTimeout(timer));
    },
  };
};
