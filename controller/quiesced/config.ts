/** `quiesce.yaml` from disk: obeyed only where nobody but root can have written it. */
import { parse } from 'yaml';
import { type QuiesceConfig, readQuiesce } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import { readTrusted } from './trust.ts';

export type QuiesceFile = { ok: true; config: QuiesceConfig } | { ok: false; error: string };

const parsed = (text: string): unknown => {
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`it is not YAML: ${String((error as Error).message).split('\n')[0]}`);
  }
};

/** No file means no applications. Never rejects. */
export const readQuiesceFile = async (path: string): Promise<QuiesceFile> => {
  try {
    const settled = readQuiesce(parsed((await readTrusted(path)) ?? ''));
    if (settled.ok) return { ok: true, config: settled.settings };
    const problems = settled.problems.map((problem) => `${problem.path ? `${problem.path} ` : ''}${problem.sentence}`);
    return { ok: false, error: `${path}: ${problems.join('; ')}` };
  } catch (error) {
    const said = errorText(error);
    return { ok: false, error: said.includes(path) ? said : `${path}: ${said}` };
  }
};
