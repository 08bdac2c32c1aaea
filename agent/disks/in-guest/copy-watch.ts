/** Tells of guests that see another guest's drives because they were made from it. */
import type { NewProblem, Problems } from '../../health/problems.ts';
import type { Journal } from '../../ports/journal.ts';
import type { Copy } from './guest-copies.ts';

export interface CopyWatchPorts {
  /** Takes away what can be taken away first. */
  guard: () => Promise<Copy[]>;
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
  journal: Journal;
}

const CODE = 'drive-seen-by-copy';

const problemOf = (of: number, copies: readonly Copy[]): NewProblem => {
  const named = copies.map(({ vmid }) => vmid).join(', ');
  return {
    code: CODE,
    vmid: of,
    sentence: `Another guest (${named}) was made from this one, as a clone or from an archive, and sees its drives too. No further drive is connected until that has ended.`,
    evidence: `guests with the directory of guest ${of}: ${named}`,
    nextStep: `The operator restarts guest ${named}; a virtual machine has its virtiofs share felhom-${of} taken away first.`,
  };
};

export const createCopyWatch = ({ guard, problems, journal }: CopyWatchPorts) => {
  let failing = false;

  /** Where it cannot be told, what was told before stands. */
  const look = async (): Promise<Copy[] | null> => {
    try {
      const copies = await guard();
      failing = false;
      return copies;
    } catch (error) {
      if (!failing) journal('warning', 'It cannot be told which guests were made from others.', { why: String(error) });
      failing = true;
      return null;
    }
  };

  /** To be called every now and then. Never rejects. */
  const tick = async (): Promise<void> => {
    const copies = await look();
    if (copies === null) return;
    const originals = new Set(copies.map(({ of }) => of));
    for (const of of originals)
      problems.raise(
        problemOf(
          of,
          copies.filter((one) => one.of === of),
        ),
      );
    for (const { code, vmid } of problems.list())
      if (code === CODE && vmid !== null && !originals.has(vmid)) problems.clear(code, vmid);
  };

  return { tick };
};
