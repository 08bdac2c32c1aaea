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

/** Resident memory in megabytes of 10^6 bytes. */
export const residentMegabytes = (pid: number): number => {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  if (kib === undefined) throw new Error(`process ${pid} has no VmRSS`);
  return (Number(kib) * 1024) / 1e6;
};
