/** Undoes what was begun: an assign that failed or was cut short, an eject that could not be ended. */
import type { Assignment } from '../inventory/assignment.ts';
import type { DeedPorts } from './deed-ports.ts';
import type { Source } from './mount-source.ts';

export type Recover = ReturnType<typeof createRecover>;

/** `guests` are shown what they were shown before. */
export const createRecover = ({ mounting, records, audit }: Pick<DeedPorts, 'mounting' | 'records' | 'audit'>) => {
  /** Ownership that came with this assign goes with it. */
  const giveBack = async ({ drive, vmid, createdAt }: Assignment): Promise<void> => {
    const owner = records.drives().find(({ id }) => id === drive)?.owner ?? null;
    if (owner?.vmid === vmid && owner.since === createdAt) await records.setOwner(drive, null, 'agent');
  };

  /** Takes everything of it away. The row goes last: as long as it is there, this can be done again. */
  const takeAway = async (assignment: Assignment): Promise<void> => {
    await mounting.unmount(assignment).catch(() => mounting.cutOff(assignment));
    await mounting.clear(assignment);
    await records.removeAssignment(assignment.mountPoint);
  };

  /** Whether it is mounted is for whoever follows it. */
  const resume = async ({ vmid, mountPoint }: Assignment): Promise<void> => {
    await records.setAssignmentState(mountPoint, 'assigned');
    await audit('agent', 'drive-eject-undone', { vmid, where: mountPoint });
  };

  return {
    takeAway,
    resume,

    undoAssign: async (assignment: Assignment): Promise<void> => {
      await giveBack(assignment);
      await takeAway(assignment);
      await audit('agent', 'drive-assign-undone', { vmid: assignment.vmid, where: assignment.mountPoint });
    },

    /** Mounts it again at both places, as it was before the eject. */
    undoEject: async (assignment: Assignment, source: Source): Promise<void> => {
      await mounting.onHost(assignment, source);
      await mounting.toGuest(assignment, source);
      await resume(assignment);
    },
  };
};
