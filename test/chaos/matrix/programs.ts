/** felhom-controller as it ships, in one file: it starts several times in a cell. And the preload that shifts a process's wall clock. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleSources } from '../bundle.ts';

/** felhom-controller.service, ExecStart. */
const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=64', '--optimize-for-size'];

let built: Promise<string> | null = null;

/** What Node is given to run it. */
export const controllerProgram = async (): Promise<string[]> => {
  built ??= bundleSources('matrix', { main: 'controller/main.ts' });
  return [...NODE_FLAGS, await built];
};

/** Reads what is to be added every 10 ms at the most. The monotonic clock stays as it is, as at a step of the real wall clock. */
const SHIFT = (file: string) => `
import { readFileSync } from 'node:fs';
const Real = Date;
let readAt = -1;
let shift = 0;
const shifted = () => {
  const at = performance.now();
  if (readAt < 0 || at - readAt > 10) {
    readAt = at;
    try {
      shift = Number(readFileSync(${JSON.stringify(file)}, 'utf8')) || 0;
    } catch {}
  }
  return Real.now() + shift;
};
globalThis.Date = class Date extends Real {
  constructor(...args) {
    if (args.length === 0) super(shifted());
    else super(...args);
  }
  static now() {
    return shifted();
  }
};
`;

/** The environment that gives every process of Node, and its children, the wall clock of `file`: milliseconds to be added. */
export const shiftedClock = async (directory: string, file: string): Promise<Record<string, string>> => {
  const preload = join(directory, 'shift.mjs');
  await writeFile(preload, SHIFT(file), { mode: 0o644 });
  return { NODE_OPTIONS: `--import ${preload}` };
};
