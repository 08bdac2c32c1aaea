/** So many at once and no more; the rest wait in turn. */

export type InSlot = <T>(act: () => Promise<T>) => Promise<T>;

export const createSlots = (slots: number): InSlot => {
  let free = slots;
  const waiting: (() => void)[] = [];
  const leave = (): void => {
    const next = waiting.shift();
    if (next === undefined) free += 1;
    else next();
  };
  return async (act) => {
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await act();
    } finally {
      leave();
    }
  };
};
