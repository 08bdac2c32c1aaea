/** In what order guests that are due get the node's one backup slot. Pure. */

export interface Waiting {
  vmid: number;
  /** When it became due. */
  since: number;
  /** From when its last good backup is. */
  dataOf: number;
  retry: boolean;
  stopped: boolean;
  /** It let an offer pass a short while ago. */
  lapsed: boolean;
}

/** Who comes first, by the first of these that differs. */
const ORDER: readonly ((one: Waiting) => number)[] = [
  ({ lapsed }) => Number(lapsed),
  ({ retry }) => Number(retry),
  ({ stopped }) => Number(stopped),
  ({ since }) => since,
  ({ dataOf }) => dataOf,
  ({ vmid }) => vmid,
];

const compare = (a: Waiting, b: Waiting): number => {
  for (const rank of ORDER) {
    if (rank(a) !== rank(b)) return rank(a) < rank(b) ? -1 : 1;
  }
  return 0;
};

export const inOrder = <T extends Waiting>(waiting: readonly T[]): T[] => [...waiting].sort(compare);
