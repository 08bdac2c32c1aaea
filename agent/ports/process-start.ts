/** What tells a process from every other that had its number before. */
import { readFile } from 'node:fs/promises';

/** Behind the name in brackets, which may hold anything: state, and as field 22 the start in clock ticks since boot. proc_pid_stat(5). */
const fieldsIn = (stat: string): string[] => stat.slice(stat.lastIndexOf(')') + 2).split(' ');

/** @param stat of /proc/<pid>/stat */
export const startTimeIn = (stat: string): string => fieldsIn(stat)[19] ?? '';

/** Whether this very process is there. A zombie has ended. */
export const isProcessThere = async (pid: number, startTime: string): Promise<boolean> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [state = 'X'] = fieldsIn(stat);
  return stat !== '' && state !== 'Z' && state !== 'X' && startTimeIn(stat) === startTime;
};
