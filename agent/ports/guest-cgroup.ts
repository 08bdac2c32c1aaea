/** A container's control group (cgroup v2, as Proxmox VE 9 has it): whether it is frozen, and which process is its init. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Proc } from './proc.ts';

export interface GuestCgroup {
  /** Null: there is no such group; the container does not run. */
  frozen(vmid: number): Promise<boolean | null>;
  /** Lifts a freeze; nothing to do is no failure. */
  thaw(vmid: number): Promise<void>;
  /** As the host numbers it; null when the container does not run. */
  initPid(vmid: number): Promise<number | null>;
}

export interface GuestCgroupPorts {
  proc: Pick<Proc, 'statusOf'>;
  /** Below it one directory a container, by its number. */
  root?: string;
}

/** Proxmox freezes the container's own group; its payload is one below (PVE/LXC/CGroup.pm). */
const FREEZABLE = ['', 'ns'];

/** Null where the group, or one of its processes, has gone meanwhile, or the group has no such file. */
const readThere = (path: string): Promise<string | null> => readFile(path, 'utf8').catch(() => null);

/** In this group and in every one below it. */
const pidsBelow = async (group: string): Promise<number[]> => {
  const [own, entries] = await Promise.all([
    readThere(join(group, 'cgroup.procs')),
    readdir(group, { withFileTypes: true }).catch(() => []),
  ]);
  const below = await Promise.all(entries.filter((one) => one.isDirectory()).map(({ name }) => pidsBelow(join(group, name))));
  const pids = (own ?? '').split('\n').map(Number);
  return [...pids.filter((pid) => pid > 0), ...below.flat()];
};

/** Its numbers in each PID namespace, the host's first (proc_pid_status(5), NSpid). */
const numbersOf = (status: string | null): number[] =>
  /^NSpid:(.*)$/m
    .exec(status ?? '')?.[1]
    ?.trim()
    .split(/\s+/)
    .map(Number) ?? [];

export const createGuestCgroup = ({ proc, root = '/sys/fs/cgroup/lxc' }: GuestCgroupPorts): GuestCgroup => {
  const groupsOf = (vmid: number) => FREEZABLE.map((name) => join(root, String(vmid), name));

  const frozen = async (vmid: number): Promise<boolean | null> => {
    const events = await Promise.all(groupsOf(vmid).map((group) => readThere(join(group, 'cgroup.events'))));
    if (events[0] === null) return null;
    return events.some((text) => /^frozen 1$/m.test(text ?? ''));
  };

  const thaw = async (vmid: number): Promise<void> => {
    for (const group of groupsOf(vmid)) {
      const file = join(group, 'cgroup.freeze');
      if ((await readThere(file))?.trim() === '1') await writeFile(file, '0');
    }
  };

  /** A container inside the container has an init too, but it is one namespace deeper. */
  const initPid = async (vmid: number): Promise<number | null> => {
    const pids = (await pidsBelow(join(root, String(vmid)))).sort((a, b) => a - b);
    const inits: { pid: number; depth: number }[] = [];
    for (const pid of pids) {
      const numbers = numbersOf(await proc.statusOf(pid));
      if (numbers.length > 1 && numbers.at(-1) === 1) inits.push({ pid, depth: numbers.length });
    }
    const [outermost] = inits.sort((a, b) => a.depth - b.depth);
    return outermost?.pid ?? pids[0] ?? null;
  };

  return { frozen, thaw, initPid };
};
