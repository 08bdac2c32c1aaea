/**
 * Who has a drive in use: its block devices open, or anything in a file system that is on it, in any mount namespace. Looks at /proc
 * alone and touches no file system but those that device nodes lie on: the drive in question may hang.
 */
import { stat } from 'node:fs/promises';
import { isRemote, type Mount, parseMountinfo } from '#shared/mountinfo';
import { guestOfCgroup } from '../ports/guest-of-process.ts';
import * as of from './processes.ts';
import type { DeviceUser } from './protocol.ts';

export interface Question {
  /** `8:16`: of block devices, and of file systems as mountinfo has them. */
  numbers: ReadonlySet<string>;
  mountIds: ReadonlySet<string>;
  /** The agent's process: what it runs itself to touch drives is left out. */
  agent: number;
  /** Processes that are left out. */
  except: ReadonlySet<number>;
}

type Tell = (user: DeviceUser) => void;
type Use = Pick<DeviceUser, 'what' | 'path'>;

/** A process that has a whole tree open is told by these. */
const MAX_USES = 8;
const MAX_PATH = 4096;

/** Which mounts a process is shown; a process in a changed root only those below it. Where that is not told, it has a view of its own. */
const viewOf = (pid: number): string => {
  try {
    return `${of.mountNamespaceOf(pid)} ${of.rootOf(pid)}`;
  } catch (error) {
    if (error instanceof of.Unreadable) return `of ${pid}`;
    throw error;
  }
};

/** Every mount of every namespace that a process is in, by the mount's number, which is unique in the kernel. */
const allMounts = (pids: readonly number[]): Map<string, Mount> => {
  const mounts = new Map<string, Mount>();
  const seen = new Set<string>();
  for (const pid of pids) {
    const view = viewOf(pid);
    const text = seen.has(view) ? '' : of.mountinfoOf(pid);
    // Whoever has ended meanwhile shows nothing: the next one of the same view does.
    if (text === '') continue;
    seen.add(view);
    for (const mount of parseMountinfo(text)) mounts.set(mount.id, mount);
  }
  return mounts;
};

const isFuse = ({ fstype }: Mount): boolean => fstype.startsWith('fuse.') || fstype === 'fuse' || fstype === 'virtiofs';

/** Another machine or a process answers for it, and may never do so. */
const mayHang = (mount: Mount): boolean => isRemote(mount) || isFuse(mount);

/** A device node is only opened as a device where the mount allows it. */
const mayHoldDevices = (mount: Mount): boolean => !mount.options.includes('nodev') && !mayHang(mount);

const HANG_MS = 1000;
const LATE = Symbol('late');

/** Nothing more is waited for after a second: the thread that asks hangs, the answer is that there is none. */
const soon = <T>(work: Promise<T>): Promise<T | typeof LATE> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(resolve, HANG_MS, LATE);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
};

const isOnIt = (mount: Mount | undefined, { numbers, mountIds }: Question): boolean =>
  mount !== undefined && (numbers.has(mount.device) || mountIds.has(mount.id));

/** Unmounted while it was still open, so that no namespace shows it: only the file itself can tell what it is on. */
const detachedUse = async (open: of.Open, { numbers }: Question): Promise<Use | null> => {
  const found = await soon(stat(open.link).catch(() => null));
  if (found === LATE) return { what: 'unreadable', path: open.path };
  if (found === null) return null;
  if (found.isBlockDevice() && numbers.has(of.numbersOf(found.rdev))) return { what: 'device', path: open.path };
  return numbers.has(of.numbersOf(found.dev)) ? { what: open.what, path: open.path } : null;
};

const openUse = async (open: of.Open, mounts: ReadonlyMap<string, Mount>, question: Question): Promise<Use | null> => {
  const id = open.mountId();
  if (id === null) return null;
  const mount = mounts.get(id);
  if (mount === undefined) return detachedUse(open, question);
  if (isOnIt(mount, question)) return { what: open.what, path: open.path };
  if (open.what !== 'file' || !mayHoldDevices(mount)) return null;
  const device = of.blockDeviceAt(open.link);
  return device !== null && question.numbers.has(device) ? { what: 'device', path: open.path } : null;
};

const mappingUse = ({ numbers, path, link }: of.Mapping, question: Question): Use | null => {
  if (question.numbers.has(numbers)) return { what: 'mapping', path };
  if (!path.startsWith('/dev/') || path.startsWith('/dev/shm/')) return null;
  const device = of.blockDeviceAt(link);
  return device !== null && question.numbers.has(device) ? { what: 'device', path } : null;
};

const usesOf = async (pid: number, mounts: ReadonlyMap<string, Mount>, question: Question): Promise<Use[]> => {
  const uses: (Use | null)[] = [];
  for (const open of of.opensOf(pid)) uses.push(await openUse(open, mounts, question));
  const mappings = await soon(of.mappingsOf(pid));
  if (mappings === LATE) uses.push({ what: 'unreadable', path: '' });
  else uses.push(...mappings.map((mapping) => mappingUse(mapping, question)));
  const found = uses.filter((use) => use !== null);
  return found.filter((use, index) => found.findIndex(({ what, path }) => what === use.what && path === use.path) === index);
};

/** The environment that the agent gives to what it runs (agent/ports/command.ts, own-program.ts), and to nothing else. */
const OWN_ENVIRONMENT = 'LC_ALL=C\0';

/** Processes by which the agent touches drives, and theirs. */
const isOwn = (pid: number, agent: number): boolean => {
  if (of.environmentOf(pid) !== OWN_ENVIRONMENT) return false;
  const parent = of.parentOf(pid);
  return parent === agent || (parent > 1 && isOwn(parent, agent));
};

const answer = async (pid: number, mounts: ReadonlyMap<string, Mount>, question: Question): Promise<Use[]> => {
  try {
    const uses = await usesOf(pid, mounts, question);
    return uses.length > 0 && isOwn(pid, question.agent) ? [] : uses;
  } catch (error) {
    if (!(error instanceof of.Unreadable)) throw error;
    // The host's init opens no drives. Where it cannot be read, the agent's self-test has turned changes to drives off.
    return pid === 1 ? [] : [{ what: 'unreadable', path: '' }];
  }
};

export const tellUsers = async (question: Question, tell: Tell): Promise<void> => {
  const pids = of.processes().filter((pid) => pid !== process.pid);
  const mounts = allMounts(pids);
  for (const pid of pids.filter((one) => !question.except.has(one))) {
    const uses = await answer(pid, mounts, question);
    if (uses.length === 0) continue;
    const facts = { pid, command: of.commandOf(pid), vmid: guestOfCgroup(of.cgroupOf(pid)) };
    for (const { what, path } of uses.slice(0, MAX_USES)) tell({ ...facts, what, path: path.slice(0, MAX_PATH) });
  }
};
