/** Histories full of faults, from a seed: answers that get lost, an agent that dies, Proxmox away, tasks that vanish. */
import { claimsOf } from '#agent/backups/held';
import { fullLabelOf } from '#agent/backups/label';
import { readLog } from '#agent/backups/log';
import { LISTING_UNKNOWN } from '#agent/backups/sentences';
import type { Label } from '#shared/label';
import type { HeldApp } from '#shared/wire/backups';
import { type FakeTask, proxmoxError, setup } from './harness.ts';
import { LOG_NAMES, logLines } from './logs.ts';

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
const randomFrom = (seed: number) => {
  let state = seed >>> 0;
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

const LOGS = LOG_NAMES.map(logLines);
const LATE_MS = 28_000;
/** An intent is given up when no task has appeared for so long. */
const SEARCH_MS = 60_000;
const WITHIN_MS = 5000;
/** Where applications were to be consistent the end may wait for the guest's word on them. */
const REPORT_MS = 15_000;

const exitstatusOf = (last: string): string => {
  const [, word, rest] = /^TASK (OK|WARNINGS|ERROR)(?:: (.*))?$/.exec(last) ?? [];
  if (word === undefined) return 'unexpected status';
  return word === 'ERROR' ? (rest ?? '') : word === 'OK' ? 'OK' : `WARNINGS: ${rest}`;
};

/** What a task will do, and how it stands in truth. */
interface Fate {
  task: FakeTask;
  left: string[];
  exitstatus: string;
  archive: boolean;
}

interface History {
  wrong: string[];
  done: number;
  failed: number;
  apps: number;
}

export const runHistory = async (seed: number): Promise<History> => {
  const random = randomFrom(seed);
  const chance = (share: number) => random() < share;
  const below = (most: number) => Math.floor(random() * most);
  const pick = <T>(from: readonly T[]): T => from[below(from.length)] as T;

  const all = setup();
  const { node, advance, fault, rows, startAgent } = all;
  const wrong: string[] = [];
  const fates = new Map<FakeTask, Fate>();
  let agent = await startAgent();
  let begun = 0;
  let cancelled = false;
  /** Every other history has applications. */
  const intends = seed % 2 === 0 ? ['db', 'web'] : [];
  /** Reports that were answered with yes, by job. */
  const taken = new Map<string, string>();

  const fateOf = (task: FakeTask): Fate => {
    const known = fates.get(task);
    if (known) return known;
    const stamp = `-11_11_${String(fates.size).padStart(2, '0')}.`;
    const lines = pick(LOGS).map((line) => line.replace(/-\d\d_\d\d_\d\d\./, stamp));
    const exitstatus = exitstatusOf(lines.at(-1) ?? '');
    const cut = chance(0.2) ? below(lines.length) : lines.length;
    const killed = cut < lines.length;
    const fate = { task, left: lines.slice(0, cut), exitstatus: killed ? 'unexpected status' : exitstatus, archive: chance(0.9) };
    fates.set(task, fate);
    return fate;
  };
  const workOn = (task: FakeTask) => {
    const { left, exitstatus, archive } = fateOf(task);
    node.writeTo(task, ...left.splice(0, 1 + below(8)));
    if (left.length === 0 && chance(0.7)) node.endTask(task, exitstatus, archive);
    if (task.exitstatus !== undefined && chance(0.05)) task.lost = true;
  };

  const isGood = (task: FakeTask | undefined, unlisted = false): boolean => {
    if (task?.exitstatus === undefined) return false;
    const told = task.exitstatus === 'unexpected status' ? exitstatusOf(task.lines.at(-1) ?? '') : task.exitstatus;
    const noted = node.volumes.some(({ notes }) => notes !== '' && notes === task.request.notes);
    return (told === 'OK' || told.startsWith('WARNINGS')) && (noted || unlisted);
  };
  const taskOf = (jobId: unknown) => node.tasks.filter(({ request }) => request.notes === `felhom job ${jobId} host host-1`);

  /** What must hold at every moment. */
  const check = (when: string) => {
    for (const { job_id, source, upid, state, label, warnings, intends: names, held_apps: held } of rows()) {
      const word = taken.get(String(job_id));
      if (word !== undefined && word !== held) wrong.push(`${when}: job ${job_id} has lost its report`);
      const tasks = source === 'proxmox' ? node.tasks.filter((task) => task.upid === upid) : taskOf(job_id);
      if (tasks.length > 1) wrong.push(`${when}: job ${job_id} has ${tasks.length} tasks`);
      if (state !== 'done') continue;
      // A storage that cannot be listed leaves Proxmox's word, and the job says so; of what is not ours there is no other.
      const unlisted = source === 'proxmox' || String(warnings).includes(LISTING_UNKNOWN);
      if (!isGood(tasks[0], unlisted)) wrong.push(`${when}: job ${job_id} is called done and is not`);
      const known = { intends: JSON.parse(String(names)) as string[], heldApps: JSON.parse(String(held)) as HeldApp[] | null };
      const truth = fullLabelOf(readLog(tasks[0]?.lines ?? []), known);
      if (label !== 'crash' && (label as Label) !== truth)
        wrong.push(`${when}: job ${job_id} is called ${label}, it is ${truth}`);
    }
    if (node.posts > begun) wrong.push(`${when}: ${node.posts} requests for ${begun} jobs`);
  };

  /** Of any job, at any time, true or not. */
  const report = async () => {
    const id = pick(rows())?.job_id;
    if (id === undefined) return;
    const apps = intends.map((app) => ({ app, held: chance(0.9), held_ms: 0, covered: chance(0.9) }));
    // Not waited for: an agent that is killed never answers.
    void agent.reportHeld(101, String(id), { apps }).then(
      () => taken.set(String(id), JSON.stringify(claimsOf(intends, apps))),
      () => {},
    );
  };

  const misfortunes: (() => unknown)[] = [
    async () => {
      agent.kill();
      if (chance(0.5)) await advance(below(20_000));
      agent = await startAgent();
    },
    () => Object.assign(node, { away: chance(0.5) }),
    () => Object.assign(node, { listingFails: chance(0.5) }),
    () => Object.assign(fault, { full: chance(0.5) }),
    () => Object.assign(node, { indexGone: chance(0.3) }),
    () => agent.watchForeign([101, 102]),
    () => chance(0.2) && node.addTask(102, 'root@pam'),
    () => {
      // Not waited for: with a full disk it takes as long as the clock says.
      if (chance(0.2))
        void agent.cancel(101, 'cancelled').then(
          () => {
            cancelled = true;
          },
          () => {},
        );
    },
  ];
  const answers = () =>
    pick([
      'answers' as const,
      'answers' as const,
      'lost before' as const,
      'lost after' as const,
      { error: proxmoxError(403, 'never') },
      { error: proxmoxError(596, 'unknown'), afterMs: below(30_000) },
      { error: proxmoxError(596, 'unknown'), taskAfterMs: 0, afterMs: below(30_000) },
      { error: proxmoxError(0, 'unknown'), taskAfterMs: below(LATE_MS) },
      { error: proxmoxError(0, 'unknown') },
    ]);

  const begin = async () => {
    node.fate = answers();
    const posts = node.posts;
    const started = await agent.start(101, { intends }).catch(() => null);
    if (started) begun += 1;
    // A request that hangs for ever is ended by the client's own deadline: here by the death of the agent.
    if (started && (node.fate === 'lost before' || node.fate === 'lost after')) {
      await advance(below(5000));
      agent.kill();
      agent = await startAgent();
    }
    return posts;
  };

  for (let step = 0; step < 60; step += 1) {
    if (chance(0.3)) await begin();
    if (chance(0.4)) await pick(misfortunes)();
    for (const task of node.tasks) if (task.exitstatus === undefined && chance(0.5)) workOn(task);
    if (intends.length > 0 && chance(0.5)) await report();
    await advance(below(6000));
    check(`step ${step}`);
  }

  // All is well again, every task ends, and what may still appear has appeared.
  Object.assign(node, { away: false, listingFails: false, indexGone: false });
  fault.full = false;
  await advance(LATE_MS);
  for (const task of node.tasks) while (task.exitstatus === undefined) workOn(task);
  await advance(SEARCH_MS);
  agent.kill();
  agent = await startAgent();
  await advance(WITHIN_MS + (intends.length > 0 ? REPORT_MS : 0));
  check('the end');

  const last = rows();
  for (const { job_id, state, source, failure, upid } of last) {
    if (state !== 'done' && state !== 'failed') wrong.push(`job ${job_id} has not ended: ${state}`);
    if ((state === 'failed') !== (failure !== '')) wrong.push(`job ${job_id} is ${state} with "${failure}"`);
    if (source === 'proxmox') continue;
    const [task] = taskOf(job_id);
    if ((task === undefined) !== (upid === '')) wrong.push(`job ${job_id} has the task ${upid}, in truth ${task?.upid}`);
    if (state === 'failed' && isGood(task) && !task?.lost) wrong.push(`job ${job_id} is called ${failure} and is done`);
  }
  if (agent.running().length > 0) wrong.push('the slot is taken for ever');
  const own = last.filter(({ source }) => source !== 'proxmox');
  if (own.length !== begun) wrong.push(`${own.length} jobs for ${begun} starts`);
  if (!cancelled && own.some(({ failure }) => failure === 'cancelled')) wrong.push('cancelled by nobody');
  return {
    wrong,
    done: own.filter(({ state }) => state === 'done').length,
    failed: own.filter(({ state }) => state === 'failed').length,
    apps: own.filter(({ label }) => label === 'app').length,
  };
};
