/** A process ended by the kernel because its control group has used up its memory: cgroup v1 or v2, as root. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '../alive.ts';
import { until } from '../quiesced-world.ts';

const LIMIT = String(16 * 1024 * 1024);
const isTwo = existsSync('/sys/fs/cgroup/cgroup.controllers');
const ROOT = isTwo ? '/sys/fs/cgroup' : '/sys/fs/cgroup/memory';

let made = 0;
const makeGroup = (): string => {
  const group = join(ROOT, `felhom-matrix-${process.pid}-${made++}`);
  mkdirSync(group);
  const set = (file: string, value: string) => writeFileSync(join(group, file), value);
  try {
    set(isTwo ? 'memory.max' : 'memory.limit_in_bytes', LIMIT);
    if (existsSync(join(group, 'memory.swap.max'))) set('memory.swap.max', '0');
    if (existsSync(join(group, 'memory.memsw.limit_in_bytes'))) set('memory.memsw.limit_in_bytes', LIMIT);
  } catch (error) {
    rmdirSync(group);
    throw error;
  }
  return group;
};

/** Why it cannot be done here; null: it can. */
export const lacksMemoryKill = (): string | null => {
  if (process.getuid?.() !== 0) return 'skipped without root';
  try {
    rmdirSync(makeGroup());
    return null;
  } catch {
    return 'skipped without a memory control group of its own';
  }
};

const killed = (group: string): boolean =>
  /^oom_kill [1-9]/m.test(readFileSync(join(group, isTwo ? 'memory.events' : 'memory.oom_control'), 'utf8'));

/** Returns when the kernel has ended it. */
export const memoryKill = async (pid: number): Promise<void> => {
  const group = makeGroup();
  const procs = join(group, 'cgroup.procs');
  // Of all in the group the kernel takes this one first. proc_pid_oom_score_adj(5)
  writeFileSync(`/proc/${pid}/oom_score_adj`, '1000');
  writeFileSync(procs, String(pid));
  // tail(1) keeps the whole last line, and this one has no end.
  const hog = spawn('/bin/sh', ['-c', `echo $$ > ${procs} && exec tail /dev/zero`], { stdio: 'ignore' });
  const ended = once(hog, 'exit');
  try {
    await until('the kernel has ended it', () => !isAlive(pid));
    if (!killed(group)) throw new Error('it has ended, but not by the kernel for its memory');
  } finally {
    hog.kill('SIGKILL');
    await ended;
    // Whoever it has started meanwhile is in the group too; then the group stays until they have ended.
    await until('its group is empty', () => readFileSync(procs, 'utf8') === '', 2000).catch(() => {
      for (const left of readFileSync(procs, 'utf8').trim().split('\n')) writeFileSync(join(ROOT, 'cgroup.procs'), left);
    });
    rmdirSync(group);
  }
};
