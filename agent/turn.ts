/** One change after the other. */

/** What is handed in runs when all that came before has ended, well or not: it decides over what the one before it left. */
export type InTurn = <T>(act: () => Promise<T>) => Promise<T>;

export const createTurn = (): InTurn => {
  let last: Promise<unknown> = Promise.resolve();
  return (act) => {
    const turn = last.then(act);
    last = turn.catch(() => undefined);
    return turn;
  };
};
