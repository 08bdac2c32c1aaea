/** One attempt at a time, what a dead one has left, and what is true now. */
import { waitAtMost } from '#shared/clock';
import type { QuiescedStatus } from '#shared/quiesce/protocol';
import { type Attempt, type AttemptPorts, createAttempt } from './attempt.ts';
import type { Leftovers } from './lease.ts';
import { Refused } from './refused.ts';

export interface KeeperPorts extends AttemptPorts {
  version: string;
  endLeftovers: (leftovers: Leftovers) => Promise<void>;
}

export interface Keeper {
  /** Lets go what a lease on disk names; returns after the first try of each. */
  recover(): Promise<void>;
  /**
   * The attempt of a new connection; refused while another's goes on. Waits for what an earlier start left.
   * @param gone aborted when that connection has ended: then none is begun
   */
  begin(gone: AbortSignal): Promise<Attempt>;
  status(): Promise<QuiescedStatus>;
  /** Nothing is held, and all are back; and it is known what an earlier start left. */
  isIdle(): boolean;
}

/** For what an attempt whose connection has ended was just at. */
const TURN_MS = 10_000;

export const createKeeper = (ports: KeeperPorts): Keeper => {
  const { clock, readConfig, leases, letting, log, version, endLeftovers } = ports;
  let current: Attempt | null = null;
  let recovering: Promise<void> | null = null;
  let recovered = false;

  const recover = async (): Promise<void> => {
    const found = await leases.read();
    await endLeftovers(found.leftovers);
    if (found.apps.length === 0) return;
    const names = found.apps.map(({ app }) => app.name).join(', ');
    log.say(
      5,
      `${found.live ? 'an earlier process died while it held' : 'before the last start these were held'}: ${names}; they are let go`,
    );
    await Promise.all(found.apps.map((leased) => letting.begin({ ...leased, link: null, heldAt: null })));
  };

  /** The end of the attempt before. */
  let ending: Promise<void> = Promise.resolve();

  const begin = async (gone: AbortSignal): Promise<Attempt> => {
    await recovering;
    await waitAtMost(clock, TURN_MS, ending);
    if (gone.aborted) throw new Refused('invalid', 'the connection has ended');
    if (current !== null) throw new Refused('busy', 'another connection is holding, or about to hold');
    const attempt = createAttempt(ports);
    const end = async () => {
      const ended = attempt.end();
      ending = ended.then(attempt.settled).then(() => {
        if (current === wrapped) current = null;
      });
      await ended;
    };
    const wrapped: Attempt = { ...attempt, end };
    current = wrapped;
    return wrapped;
  };

  const status = async (): Promise<QuiescedStatus> => {
    const file = await readConfig();
    const config = file.ok ? file.config : { apps: [], hold_max: 0 };
    return {
      version,
      config_error: file.ok ? '' : file.error,
      apps: config.apps.map(({ name, adapter, hold }) => ({ name, adapter, hold })),
      hold_max_ms: config.hold_max,
      lease: current?.lease() ?? null,
      not_back: letting.notBack(),
    };
  };

  return {
    recover: () => {
      recovering = recover().finally(() => {
        recovered = true;
      });
      return recovering;
    },
    begin,
    status,
    isIdle: () => recovered && current === null && letting.notBack().length === 0,
  };
};
