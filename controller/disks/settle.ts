/** Asks the same again while nobody can say what became of it: the agent joins what is under way, and begins nothing twice. */
import { sleep } from '#shared/clock';
import type { FlowPorts } from './flow.ts';

const EVERY_MS = 3000;
const AT_MOST_MS = 45_000;

/** @param isOpen whether to ask again; the last answer is returned though it still is, when the time is over or nobody waits any longer */
export const settle = async <T>(
  { clock, talk, signal }: FlowPorts,
  first: T,
  { isOpen, again, words }: { isOpen: (answer: T) => boolean; again: () => Promise<T>; words: (answer: T) => string },
): Promise<T> => {
  const began = clock.monotonic();
  let answer = first;
  for (let told = ''; isOpen(answer) && !signal.aborted && clock.monotonic() - began < AT_MOST_MS; ) {
    if (words(answer) !== told) talk.tell(words(answer));
    told = words(answer);
    await sleep(clock, EVERY_MS, signal);
    if (!signal.aborted) answer = await again();
  }
  return answer;
};
