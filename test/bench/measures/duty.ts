/** How much the agent asks Proxmox for fifty guests that poll once a minute: while nothing can be done for them, and while nothing is due. */
import { setTimeout as pause } from 'node:timers/promises';
import { BACKUP_STORAGE } from '../../demo/host.ts';
import { backUpAll, type Crowd, GUESTS, poll, startCrowd, untilAllVerified } from '../crowd.ts';
import { atMost, type Figure } from '../figure.ts';
import type { Measure } from '../measure.ts';

/** As controllers do. */
const EVERY_MS = 60_000;
const BUDGET = 6;
/** For what is asked only once after the agent's start, or after a backup. */
const SETTLE_MS = 15_000;
/** One archive at a time, a few a minute. */
const VERIFIED_WITHIN_MS = 20 * 60_000;

const counted = (targets: readonly string[]): string => {
  const counts = new Map<string, number>();
  for (const target of targets) counts.set(target, (counts.get(target) ?? 0) + 1);
  return [...counts].map(([target, count]) => `${count} × ${target}`).join(', ') || 'none was made';
};

/** Without what is the same in all, or another for each guest. */
const inShort = (path: string): string =>
  path
    .replace('/api2/json', '')
    .replace(/\?.*/, '')
    .replace(/\b\d{3}\b/, 'N');

/** Of one minute or less in which every guest asks at its own moment. */
const requestsWhile = async (crowd: Crowd, when: string, countMs: number): Promise<Figure> => {
  const { requests } = crowd.host.pve;
  const beganAt = Date.now();
  await poll(crowd, EVERY_MS, countMs);
  await pause(Math.max(0, beganAt + countMs - Date.now()));
  const made = requests.filter(({ at }) => at >= beganAt).map(({ method, path }) => `${method} ${inShort(path)}`);
  return {
    name: `Proxmox requests, ${GUESTS} guests, ${when}`,
    value: (made.length * 60_000) / countMs,
    unit: '/min',
    budget: atMost(BUDGET),
    note: counted(made),
  };
};

/** As when the drive was pulled out: the storage is there, and does not work. */
const setTarget = ({ host }: Crowd, active: boolean): void => {
  const target = host.pve.world.storages.get(BACKUP_STORAGE);
  if (target === undefined) throw new Error(`the node has no storage ${BACKUP_STORAGE}`);
  target.active = active;
};

export const duty: Measure = {
  name: 'duty',
  about: 'Proxmox requests for fifty guests that poll',
  run: async ({ scope, quick, say }) => {
    const countMs = quick ? 20_000 : 60_000;
    const crowd = await startCrowd(scope);
    setTarget(crowd, false);
    say('every guest is due and the target is missing');
    await poll(crowd, EVERY_MS, SETTLE_MS);
    const missing = await requestsWhile(crowd, 'all due, target missing', countMs);
    setTarget(crowd, true);
    say('a backup of each guest');
    await backUpAll(crowd);
    if (!quick) {
      say('the archives are read to their ends');
      await untilAllVerified(crowd, VERIFIED_WITHIN_MS);
    }
    await pause(SETTLE_MS);
    say('nothing is due');
    return [missing, await requestsWhile(crowd, 'nothing due', countMs)];
  },
};
