/**
 * One run of the program: says that it holds the drive, waits for `go`, and from then on goes on whatever happens to whoever started it.
 * What it says is in protocol.ts.
 */
import { createInterface } from 'node:readline';
import { Failed, failedBy } from './failed.ts';
import type { FormatLine, FormatOrder, FormatState, Phase } from './protocol.ts';
import { type Course, format } from './sequence.ts';
import { openStateFile, type StateFile } from './state-file.ts';

const say = (line: FormatLine): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/** The first line of stdin; empty at its end. */
const nextLine = (): Promise<string> =>
  new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin });
    lines.once('line', (line) => {
      resolve(line);
      lines.close();
    });
    lines.once('close', () => resolve(''));
  });

const ignore = (): void => {};

/** Half a drive is worth less than none: only the kernel can end it now. */
const heedNobody = (): void => {
  for (const signal of ['SIGHUP', 'SIGTERM', 'SIGINT'] as const) process.on(signal, ignore);
};

const waitForGo = async (): Promise<boolean> => {
  say({ held: true });
  if ((await nextLine()) !== 'go') return false;
  process.stdin.destroy();
  heedNobody();
  return true;
};

const recorded = (file: StateFile, phase: Phase): void => {
  try {
    file.write({ phase, outcome: null });
  } catch (error) {
    // Before the first byte it is a reason to stop; afterwards stopping would be worse than what it is about.
    if (phase === 'holding' || phase === 'wiping') throw new Failed('internal', `its state cannot be written down: ${error}`);
  }
};

const failureOf = (error: unknown): FormatState['outcome'] & { ok: false } => {
  const { code, message } = failedBy(error);
  return { ok: false, code, why: message };
};

/**
 * Rejects only where its end could not be written down.
 * @param before called before each step, after it has been written down; only tests have something to do there
 */
export const run = async (order: FormatOrder, before: Course['step'] = async () => {}): Promise<void> => {
  // Nobody may be listening.
  process.stdout.on('error', ignore);
  const file = openStateFile(order);
  let begun = false;
  const step = async (phase: Phase): Promise<void> => {
    if (phase !== 'opening') recorded(file, phase);
    if (phase === 'wiping') {
      begun = true;
      say({ begun: true });
    }
    await before(phase);
  };
  const outcome = await format(order, { step, mayBegin: waitForGo }).then(
    (made): FormatState['outcome'] => (made === null ? null : { ok: true, ...made }),
    failureOf,
  );
  if (begun) return file.writeSurely({ phase: 'ended', outcome });
  file.remove();
  if (outcome?.ok === false) say({ failed: { code: outcome.code, why: outcome.why } });
};
