/** Keeps what is assigned true, and ends or undoes what a crash has left half done. */
import type { Problems } from '../../health/problems.ts';
import type { GuestOfProcess } from '../../ports/guest-of-process.ts';
import type { Sysfs } from '../../ports/sysfs.ts';
import type { Assignment } from '../inventory/assignment.ts';
import type { Current } from '../known/current.ts';
import type { Claims } from '../known/ownership.ts';
import { tellWrong, type Wrong } from './assigned-wrong.ts';
import { createDeadMounts } from './dead-mounts.ts';
import type { DeedPorts } from './deed-ports.ts';
import { createFollow, driveOf } from './follow.ts';
import type { Recover } from './recover.ts';

export interface ReconcilePorts extends DeedPorts {
  current: Pick<Current, 'fresh' | 'last' | 'changed' | 'inventory'>;
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
  claims: () => Claims;
  guestOf: GuestOfProcess;
  sysfs: Pick<Sysfs, 'kernelDevices'>;
  recover: Recover;
}

export const createReconcile = (ports: ReconcilePorts) => {
  const { journal, current, records, mounting, inTurn, problems, recover } = ports;
  const deadMounts = createDeadMounts(ports);
  const following = createFollow({ ...ports, lost: deadMounts.lost });
  const kept = new Set<string>();

  /**
   * While the drives cannot be looked at, it is left as it is. A drive that was being taken out and is still there is assigned again, and
   * mounted, or not, by what holds for every such drive.
   */
  const settle = async (row: Assignment): Promise<void> => {
    if (row.state === 'assigning') return recover.undoAssign(row);
    const inventory = await current.fresh();
    if (driveOf(inventory, row) !== undefined) return recover.resume(row);
    // It was being taken out, and now it is out.
    if (inventory.missing.length === 0) await recover.takeAway(row);
  };

  /** @returns the row as it is now, where it is to be followed */
  const settled = async (row: Assignment): Promise<Assignment | undefined> => {
    if (row.state !== 'assigned') await settle(row).finally(current.changed);
    return records.assignments().find(({ mountPoint, state }) => mountPoint === row.mountPoint && state === 'assigned');
  };

  /** Units and rules are as this version of the agent makes them, whichever made them first. */
  const keepOnce = async (row: Assignment): Promise<void> => {
    if (kept.has(row.link)) return;
    try {
      await mounting.keep(row);
      kept.add(row.link);
    } catch (error) {
      journal('warning', 'What mounts an assigned drive at boot could not be written.', {
        where: row.mountPoint,
        cause: String(error),
      });
    }
  };

  const lookAfter = async (before: Assignment): Promise<Wrong[]> => {
    const { mountPoint: where } = before;
    try {
      const row = await settled(before);
      if (row === undefined) return [];
      if (following.isOwn(row)) await keepOnce(row);
      else kept.delete(row.link);
      return await following.follow(row);
    } catch (error) {
      journal('warning', 'An assigned drive could not be looked after.', { where, cause: String(error) });
      return [];
    }
  };

  const round = async (): Promise<void> => {
    const rows = records.assignments();
    following.forget(rows);
    const found: Wrong[] = [];
    for (const row of rows) found.push(...(await lookAfter(row)));
    // Without an assignment there is nothing that a guest could still hold of ours.
    const dead = rows.length === 0 ? [] : await deadMounts.now();
    tellWrong(problems, [...found, ...following.unprotected(rows), ...dead]);
  };

  return {
    /** Every ten seconds, and at start. Never rejects. */
    tick: (): Promise<void> =>
      inTurn(round).catch((error: unknown) => {
        journal('warning', 'The assigned drives could not be looked after.', { cause: String(error) });
      }),
  };
};
