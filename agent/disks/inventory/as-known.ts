/** A reading that may fail, as a source's answer: whole, or why there is none. */
import type { Known } from './evidence.ts';

/** Never rejects. */
export const asKnown = async <T>(reading: Promise<T>): Promise<Known<T>> => {
  try {
    return { known: true, value: await reading };
  } catch (error) {
    return { known: false, why: error instanceof Error ? error.message : String(error) };
  }
};
