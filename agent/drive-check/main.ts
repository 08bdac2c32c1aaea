/**
 * `drive-check <verb> …`: touches one drive, in a process that may hang or be killed without harm. JSON lines (protocol.ts); the last
 * one holds the answer, or why there is none. Started by agent/ports/drive-check.ts only.
 */
import { exclusive, flush } from './exclusive.ts';
import { liftReadOnly, lookInto } from './look.ts';
import type { Line } from './protocol.ts';
import { searchMounted } from './search.ts';
import { tellUsers } from './users.ts';
import { readZeros } from './zeros.ts';

const PROGRESS_MS = 2000;

const write = (line: Line): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/** Tells how far it is from time to time, not for each piece. */
const progress = (): ((readBytes: number) => void) => {
  let told = performance.now();
  return (readBytes) => {
    if (performance.now() - told < PROGRESS_MS) return;
    told = performance.now();
    write({ readBytes });
  };
};

const VERBS: Readonly<Record<string, (...args: string[]) => Line | Promise<Line>>> = {
  exclusive: (device = '') => ({ exclusive: exclusive(device) }),
  flush: (device = '') => {
    flush(device);
    return { flushed: true };
  },
  look: (device = '', fstype = '') => {
    // Ended by force in between, it would leave the device read-only: a service that stops waits for it, it takes no time.
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {});
    return { found: lookInto(device, fstype, () => write({ readOnly: device })) };
  },
  'look-at': (point = '', numbers = '', of = '') => ({ found: searchMounted(of, point, numbers) }),
  writable: (device = '') => {
    liftReadOnly(device);
    return { writable: device };
  },
  zeros: async (device = '', sizeBytes = '', from = '') => ({
    zeros: await readZeros(device, Number(sizeBytes), Number(from), progress()),
  }),
  users: async (numbers = '', mountIds = '', agent = '', except = '') => {
    const list = (text: string): Set<string> => new Set(text.split(',').filter((one) => one !== ''));
    const question = {
      numbers: list(numbers),
      mountIds: list(mountIds),
      agent: Number(agent),
      except: new Set([...list(except)].map(Number)),
    };
    await tellUsers(question, (user) => write({ user }));
    return { told: true };
  },
};

const [verb = '', ...args] = process.argv.slice(2);
try {
  const act = VERBS[verb];
  if (act === undefined) throw new Error(`there is no "${verb}"`);
  write(await act(...args));
} catch (error) {
  const { code, message = String(error) } = error as { code?: unknown; message?: string };
  write({ failed: { code: typeof code === 'string' ? code : '', why: message } });
  process.exitCode = 1;
}
