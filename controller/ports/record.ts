/** `last.json`: how the last attempt went, for `status`. */
import { join } from 'node:path';
import { Check } from 'typebox/schema';
import { AttemptResult } from '../backup/result.ts';
import { readText, replaceFile } from './files.ts';

const pathOf = (stateDir: string): string => join(stateDir, 'last.json');

export const writeResult = (stateDir: string, result: AttemptResult): Promise<void> =>
  replaceFile(pathOf(stateDir), `${JSON.stringify(result, null, 2)}\n`);

/** Null where there was none yet, or it cannot be read. */
export const readResult = async (stateDir: string): Promise<AttemptResult | null> => {
  try {
    const value: unknown = JSON.parse((await readText(pathOf(stateDir))) ?? 'null');
    return Check(AttemptResult, value) ? (value as AttemptResult) : null;
  } catch {
    return null;
  }
};
