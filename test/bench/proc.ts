/** What a process has cost so far: proc(5), `/proc/PID/stat` and `/proc/PID/status`. */
import { readFileSync } from 'node:fs';

/** USER_HZ: hundredths of a second on every architecture that Proxmox VE runs on (times(2)). */
const TICKS_PER_SECOND = 100;
const UTIME = 11;
const STIME = 12;

/** CPU time of all threads. */
export const cpuSeconds = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[UTIME]) + Number(fields[STIME])) / TICKS_PER_SECOND;
};

/** Of the main thread: the processes it started, with their command lines. */
export const childrenOf = (pid: number): { pid: number; argv: string[] }[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .flatMap((text) => {
      try {
        return [{ pid: Number(text), argv: readFileSync(`/proc/${text}/cmdline`, 'utf8').split('\0').filter(Boolean) }];
      } catch {
        // It has ended meanwhile.
        return [];
      }
    });

/** Resident memory in megabytes of 10^6 bytes. */
export const residentMegabytes = (pid: number): number => {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  if (kib === undefined) throw new Error(`process ${pid} has no VmRSS`);
  return (Number(kib) * 1024) / 1e6;
};
