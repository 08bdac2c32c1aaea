/** Processes by number and start time, so that a number used again is not taken for its former owner. proc_pid_stat(5). */
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';

export interface ProcessId {
  pid: number;
  /** Field 22: clock ticks since the boot. */
  started: string;
}

const statPath = (pid: number): string => `/proc/${pid}/stat`;

/** After the name, which may hold blanks and brackets. */
const fieldsOf = (text: string): string[] => text.slice(text.lastIndexOf(')') + 2).split(' ');

/** Null when there is no such process. */
const statOf = async (pid: number): Promise<string[] | null> => {
  try {
    return fieldsOf(await readFile(statPath(pid), 'utf8'));
  } catch {
    return null;
  }
};

/** Whether it leads a process group of its own, and that process has started it. At once: nothing may change meanwhile. */
export const leadsGroupUnder = (pid: number, parent: number): boolean => {
  try {
    const [, itsParent, group] = fieldsOf(readFileSync(statPath(pid), 'utf8'));
    return Number(itsParent) === parent && Number(group) === pid;
  } catch {
    return false;
  }
};

export const identify = async (pid: number): Promise<ProcessId | null> => {
  const fields = await statOf(pid);
  return fields === null ? null : { pid, started: fields[19] ?? '' };
};

/** `gone`, `stopped` (SIGSTOP), or `runs`. A zombie has gone. */
export const stateOf = async ({ pid, started }: ProcessId): Promise<'gone' | 'stopped' | 'runs'> => {
  const fields = await statOf(pid);
  if (fields === null || fields[19] !== started || fields[0] === 'Z') return 'gone';
  return fields[0] === 'T' || fields[0] === 't' ? 'stopped' : 'runs';
};

/** Nobody of the group runs any more. Those that have ended may be left for their parent to see for as long as that takes. */
export const isGroupGone = async (group: number): Promise<boolean> => {
  try {
    process.kill(-group, 0);
  } catch {
    return true;
  }
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(pids.map((pid) => statOf(Number(pid))));
  // Field 5 is the group; none of its members to be seen (hidepid): not known.
  const members = stats.filter((fields) => fields?.[2] === String(group));
  return members.length > 0 && members.every((fields) => fields?.[0] === 'Z');
};

/** Every process of the group, which cannot refuse it. */
export const killGroup = (group: number): void => {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // Nobody of it is left.
  }
};
