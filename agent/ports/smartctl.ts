/** smartctl(8): what a drive says of itself. Whatever the exit status, the document comes first; a drive that hangs is let go. */
import { CommandError, isLate, type RunCommand } from './command.ts';

/**
 * What happens where it is not known whether the drive sleeps: `strict` asks nothing more (`CHECK POWER MODE not implemented, exit(3)`),
 * `lenient` asks all the same, and `never` does not look whether it sleeps.
 */
export type Guard = 'strict' | 'lenient' | 'never';

export interface SmartTarget {
  /** `/dev/sda`; of a drive behind a RAID controller `/dev/bus/0`. */
  path: string;
  /** As `-d` takes it: `sat`, `megaraid,3`; empty for what smartctl finds itself. */
  type: string;
}

/** `hung`: no end in sight, and the child may still be there. `missing`: there is no smartctl on this host. */
export type SmartAnswer = { said: true; text: string } | { said: false; why: 'hung' | 'missing' | 'failed' };

/** None rejects. Of a drive at most one is to be called at a time. */
export interface Smartctl {
  /** All that the drive tells, unless it sleeps. */
  read(target: SmartTarget, guard: Guard): Promise<SmartAnswer>;
  /** Only who it is, unless it sleeps. Never wakes it. */
  power(target: SmartTarget): Promise<SmartAnswer>;
  /** What there is to ask, with the drives that RAID controllers hide. Opens no drive. */
  scan(): Promise<SmartAnswer>;
}

/** With a second status smartctl asks nothing of a drive that cannot tell; by default it would ask. smartctl(8), `-n`. */
const GUARDS: Readonly<Record<Guard, readonly string[]>> = {
  strict: ['-n', 'standby,2,3'],
  lenient: ['-n', 'standby'],
  never: [],
};

/** A drive that answers does so at once; whoever waits for this wants to know before anything else. */
const POWER_MS = 5_000;

const whyNot = (error: unknown): SmartAnswer => {
  if (!(error instanceof CommandError)) return { said: false, why: 'failed' };
  if (isLate(error)) return { said: false, why: 'hung' };
  return { said: false, why: error.reason === 'start' ? 'missing' : 'failed' };
};

const typed = ({ path, type }: SmartTarget): string[] => [...(type === '' ? [] : ['-d', type]), path];

export const createSmartctl = (run: RunCommand): Smartctl => {
  const ask = (args: readonly string[], timeoutMs?: number): Promise<SmartAnswer> =>
    run('smartctl', ['-j', ...args], timeoutMs).then((text): SmartAnswer => ({ said: true, text }), whyNot);
  return {
    read: (target, guard) => ask(['-a', ...GUARDS[guard], ...typed(target)]),
    power: (target) => ask(['-i', ...GUARDS.strict, ...typed(target)], POWER_MS),
    scan: () => ask(['--scan']),
  };
};
