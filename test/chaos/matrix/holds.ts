/** When each application was held, as the application itself shows it, and until when the lease allowed it. */
import { readFileSync, statSync } from 'node:fs';
import { now } from './now.ts';

export interface Hold {
  app: string;
  from: number;
  /** Null: it still is. */
  to: number | null;
}

const SAMPLE_MS = 15;
/** The lease is written before the first hold; an application is seen to be held within this time. */
const SEEN_MS = 250;

/** @param sampled applications that can be looked at at any moment. @param leasePath of the lease, there while something is held */
export const watchHolds = (sampled: Record<string, () => boolean>, leasePath: string, holdMaxMs: number) => {
  const holds: Hold[] = [];
  /** When the lease began to name an application. */
  const leases: { app: string; at: number }[] = [];
  let named: string[] = [];
  let readAt = 0;

  const open = (app: string) => holds.find((hold) => hold.app === app && hold.to === null);
  const change = (app: string, isUp: boolean, at: number): void => {
    const held = open(app);
    if (held === undefined && !isUp) holds.push({ app, from: at, to: null });
    if (held !== undefined && isUp) held.to = at;
  };
  const namesIn = (): string[] => {
    try {
      const { apps } = JSON.parse(readFileSync(leasePath, 'utf8')) as { apps: { app: { name: string } }[] };
      return apps.map(({ app }) => app.name);
    } catch {
      return [];
    }
  };
  const lookAtLease = (): void => {
    const written = statSync(leasePath, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (written === readAt) return;
    readAt = written;
    const names = namesIn();
    const at = now() - (Date.now() - written);
    leases.push(...names.filter((name) => !named.includes(name)).map((app) => ({ app, at })));
    named = names;
  };
  const sample = (): void => {
    lookAtLease();
    for (const [app, isUp] of Object.entries(sampled)) change(app, isUp(), now());
  };
  const timer = setInterval(sample, SAMPLE_MS);

  const heldAt = (app: string, at: number): boolean =>
    holds.some((hold) => hold.app === app && hold.from <= at && (hold.to === null || hold.to > at));
  return {
    holds,
    change,
    sample,
    heldAt,
    /** By then it has to be let go. */
    deadlineOf: ({ app, from }: Hold): number => {
      const lease = leases.filter((one) => one.app === app && one.at <= from + SEEN_MS).at(-1)?.at ?? from;
      // Stopped between the lease and the hold: its time begins when it can go on.
      return (from - lease > holdMaxMs ? from : lease) + holdMaxMs;
    },
    /** Of the lease that there is now; null: there is none. */
    deadline: (): number | null => {
      lookAtLease();
      const last = leases.at(-1);
      return named.length === 0 || last === undefined ? null : last.at + holdMaxMs;
    },
    isLeased: (): boolean => {
      lookAtLease();
      return named.length > 0;
    },
    areUp: () => holds.every(({ to }) => to !== null),
    isUp: (app: string) => open(app) === undefined,
    stop: () => clearInterval(timer),
  };
};
