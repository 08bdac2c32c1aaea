/** Whether a process still runs. */
import { readFileSync } from 'node:fs';

/** False also for the remains of one that nobody has collected; proc_pid_stat(5): the state follows the name. */
export const isAlive = (pid: number): boolean => {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text[text.lastIndexOf(')') + 2] !== 'Z';
  } catch {
    return false;
  }
};
