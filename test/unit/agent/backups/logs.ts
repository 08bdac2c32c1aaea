/** The task logs of test/fixtures, by name. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = fileURLToPath(new URL('../../../fixtures/vzdump-logs/', import.meta.url));

export const LOG_NAMES = readdirSync(FOLDER)
  .filter((name) => name.endsWith('.log'))
  .map((name) => name.slice(0, -'.log'.length));

export const logLines = (name: string): string[] => readFileSync(`${FOLDER}${name}.log`, 'utf8').trimEnd().split('\n');
