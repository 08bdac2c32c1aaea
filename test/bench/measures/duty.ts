/** How much the agent asks Proxmox for fifty guests that poll once a minute: while nothing can be done for them, and while nothing is due. */
import { setTimeout as pause } from 'node:timers/promises';
import { BACKUP_STORAGE } from '../../demo/host.ts';
import { backUpAll, type Crowd, GUESTS, pollDue, startCrowd } from '../crowd.ts';
import { atMost, type Figure } from '../figure.ts';
import type { Measure } from '../measure.ts';

/** As controllers do. */
const EVERY_MS = 60_000;
const BUDGET = 6;
/** For what follows a backup: the archive is read, the storage listed. */
const SETTLE_MS = 30_000;

const counted = (targets: readonly string[]): string => {
  const counts = new Map<string, number>();
  for (const target of targets) counts.set(target, (counts.get(target) ?? 0) + 1);
  return [...counts].map(([target, count]) => `${count} × ${target}`).join(', ') || 'none was made';
};

/** Of one minute or less in which every guest asks at its own moment. */
const requestsWhile = async (crowd: Crowd, when: string, countMs: number): Promise<Figure> => {
  const { requests } = crowd.host.pve;
  const beganAt = Date.now();
  await pollDue(crowd, EVERY_MS, countMs);
  await pause(Math.max(0, beganAt + countMs - Date.now()));
  const made = requests.filter(({ at }) => at >= beganAt).map(({ method, path }) => `${method} ${path}`);
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
    const missing = await requestsWhile(crowd, 'all due, target missing', countMs);
    setTarget(crowd, true);
    say('a backup of each guest, then nothing is due');
    await backUpAll(crowd);
    await pause(quick ? 5_000 : SETTLE_MS);
    return [missing, await requestsWhile(crowd, 'nothing due', countMs)];
  },
};
