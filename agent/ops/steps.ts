/** The steps by which a drive is taken out of use, each written down before it is done. */
import type { Op, Ops, Prepared } from './op.ts';

const isSame = (a: Prepared, b: Prepared): boolean => JSON.stringify(a) === JSON.stringify(b);

export const createSteps = (ops: Pick<Ops, 'setPrepared'>, op: Op) => {
  let done: readonly Prepared[] = op.prepared;
  const ended: number[] = [];

  const write = async (next: readonly Prepared[]): Promise<void> => {
    await ops.setPrepared(op.id, next);
    done = next;
  };

  return {
    /** Also those of a run that was cut short. */
    done: (): readonly Prepared[] => done,
    step: async (one: Prepared, act: () => Promise<void>): Promise<void> => {
      if (!done.some((other) => isSame(other, one))) await write([...done, one]);
      await act();
    },
    isUndone: (one: Prepared): Promise<void> => write(done.filter((other) => other !== one)),
    /** Guests whose backups were ended, which nothing brings back. */
    ended: (): readonly number[] => ended,
    backupEnded: (vmid: number): void => void ended.push(vmid),
  };
};
export type Steps = ReturnType<typeof createSteps>;
