/** The mounts of every mount namespace of the host: also those that the agent's own does not have. */
import { type Mount, parseMountinfo } from '#shared/mountinfo';
import { NotUnderstood } from '../../not-understood.ts';
import type { Proc } from '../../ports/proc.ts';
import type { SeenMount } from '../inventory/evidence.ts';

export type MountsProc = Pick<Proc, 'processes' | 'mountNamespaceOf' | 'rootOf' | 'mountinfoOf'>;

const failedWith = (error: unknown, codes: readonly unknown[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(error.code);

/** A process that has just ended: no such file, no such process, or no namespace any more (fs/proc_namespace.c, mounts_open_common). */
const GONE = ['ENOENT', 'ESRCH', 'EINVAL'];
const REFUSED = ['EACCES', 'EPERM'];

/** Null when the process has ended. @throws NotUnderstood where a line is not understood */
const mountsOf = async (proc: Pick<Proc, 'mountinfoOf'>, pid: number): Promise<Mount[] | null> => {
  const text = await proc.mountinfoOf(pid).catch((error: unknown) => {
    if (failedWith(error, GONE)) return null;
    throw error;
  });
  if (text === null) return null;
  const mounts = parseMountinfo(text);
  if (mounts.length !== text.split('\n').filter((line) => line !== '').length)
    throw new NotUnderstood(`/proc/${pid}/mountinfo has a line that is not understood`);
  return mounts;
};

/** The host's own. @throws NotUnderstood where that is not a whole list */
export const hostMounts = async (proc: Pick<Proc, 'mountinfoOf'>): Promise<Mount[]> => {
  const mounts = await mountsOf(proc, 1);
  if (!mounts?.some(({ point }) => point === '/')) throw new NotUnderstood('/proc/1/mountinfo does not tell what / is');
  return mounts;
};

/** Which namespace a process is in, and where its root is, only spare reading the same mounts again: where neither is told, they are read. */
const told = (link: Promise<string | null>, otherwise: string): Promise<string | null> =>
  link.catch((error: unknown) => {
    if (failedWith(error, REFUSED)) return otherwise;
    throw error;
  });

/** A process sees only what is mounted below its root: of each namespace one whose root is the whole, else one of each root. */
const watchers = async (proc: MountsProc, pids: readonly number[]): Promise<number[]> => {
  const byRoot = new Map<string, number>();
  for (const pid of pids) {
    const root = await told(proc.rootOf(pid), `of ${pid}`);
    if (root === '/') return [pid];
    if (root !== null && !byRoot.has(root)) byRoot.set(root, pid);
  }
  return [...byRoot.values()];
};

interface View {
  pid: number;
  mounts: Mount[];
}

/** Those of a namespace; where a watcher ends meanwhile, what the others in it see. */
const viewsOf = async (proc: MountsProc, pids: readonly number[]): Promise<View[]> => {
  const chosen = await watchers(proc, pids);
  const views = await Promise.all(chosen.map(async (pid) => ({ pid, mounts: await mountsOf(proc, pid) })));
  const seen = views.filter((view): view is View => view.mounts !== null);
  const others = pids.filter((pid) => !chosen.includes(pid));
  return seen.length === views.length || others.length === 0 ? seen : [...seen, ...(await viewsOf(proc, others))];
};

/** Processes by their mount namespace, lowest first; those that have just ended are in none. */
const byNamespace = async (proc: MountsProc): Promise<Map<string, number[]>> => {
  const pids = await proc.processes();
  const found = await Promise.all(pids.map(async (pid) => [await told(proc.mountNamespaceOf(pid), `of ${pid}`), pid] as const));
  const namespaces = new Map<string, number[]>();
  for (const [namespace, pid] of found) {
    if (namespace === null) continue;
    const members = namespaces.get(namespace);
    if (members === undefined) namespaces.set(namespace, [pid]);
    else members.push(pid);
  }
  return namespaces;
};

/** Many namespaces are copies of the host's: of those that are not its own only mounts that may lie on a drive are kept. */
const mayLieOnDrive = ({ device, fstype, source }: Mount): boolean =>
  !device.startsWith('0:') || source.startsWith('/') || ['btrfs', 'zfs', 'bcachefs'].includes(fstype);

/** Rejects where the mounts of one process cannot be read; processes that end meanwhile are left out. */
export const seenMounts = async (proc: MountsProc): Promise<SeenMount[]> => {
  const [own, namespaces] = await Promise.all([hostMounts(proc), byNamespace(proc)]);
  const views = (await Promise.all([...namespaces.values()].map((pids) => viewsOf(proc, pids)))).flat();
  // No two mounts of the machine have one id at the same time: what has an id of the host's is in its namespace.
  const key = ({ id, device }: Mount) => `${id} ${device}`;
  const ids = new Set(own.map(key));
  const elsewhere = new Map<string, SeenMount>();
  for (const { pid, mounts } of views)
    for (const mount of mounts)
      if (!ids.has(key(mount)) && mayLieOnDrive(mount)) elsewhere.set(key(mount), { mount, pid, host: false });
  return [...own.map((mount) => ({ mount, pid: 1, host: true })), ...elsewhere.values()];
};
