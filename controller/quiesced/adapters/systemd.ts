/** Units of this system's systemd, stopped for the cut and started again. */
import { randomUUID } from 'node:crypto';
import { type Clock, sleep } from '#shared/clock';
import type { AppOf } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import { systemClock } from '../clock.ts';
import type { Adapter, Session, State, Tools } from './adapter.ts';
import { isActive, PROPERTIES, refusal, startOrder, type Unit, unclean, unitsOf } from './systemd-unit.ts';

const SYSTEMCTL = '/usr/bin/systemctl';
const SYSTEMD_RUN = '/usr/bin/systemd-run';
const QUICK_MS = 5000;
/** `stillHeld` may take a second. */
const GLANCE_MS = 900;
/** systemd goes on with a job when nobody waits for it any more. */
const START_MS = 30_000;
const STOP_MS = 600_000;
/** A service that ends at once after its start is seen to do so. */
const SETTLE_MS = 1000;
/** A reference ends by itself: longer than any attempt. */
const REMEMBER_S = 1800;
/** Units that hang on each other are followed no deeper; nobody has so many. */
const MOST_UNITS = 200;

/** What ran: units that quiesce.yaml names, and all, with those that go down with them, in the order of their start. */
const ranIn = (state: State) => ({ stops: (state?.stops ?? []) as string[], starts: (state?.starts ?? []) as string[] });
const LET_GO = 'it was let go while it was still being stopped';

const openSystemd = (app: AppOf<'systemd'>, run: Tools['run'], clock: Clock): Session => {
  const systemctl = async (args: string[], timeoutMs: number, signal?: AbortSignal): Promise<string> => {
    const argv = [SYSTEMCTL, '--no-ask-password', '--no-pager', ...args] as const;
    const { ok, timedOut, tail, stdout } = await run(argv, { timeoutMs, ...(signal ? { signal } : {}) });
    if (ok) return stdout;
    if (/not been booted with systemd/.test(tail)) throw new Error('systemd does not run this system, so it has no units');
    throw new Error(timedOut ? `systemctl ${args[0]} did not end within ${timeoutMs / 1000} s` : `systemctl: ${tail}`);
  };
  const show = async (units: readonly string[], timeoutMs = QUICK_MS): Promise<Unit[]> =>
    units.length === 0 ? [] : unitsOf(await systemctl(['show', `--property=${PROPERTIES.join(',')}`, '--', ...units], timeoutMs));

  /** The units of quiesce.yaml in its order, each once, and all that goes down with them. */
  const concerned = async (timeoutMs?: number): Promise<{ named: Unit[]; others: Unit[]; all: Unit[] }> => {
    const found = new Map((await show(app.units, timeoutMs)).map((unit) => [unit.id, unit]));
    const named = [...found.values()];
    const asked = new Set(found.keys());
    for (;;) {
      const next = [...found.values()].flatMap(({ stoppedWith }) => stoppedWith).filter((id) => !asked.has(id));
      if (next.length === 0) break;
      if (asked.size + next.length > MOST_UNITS) throw new Error('too many units hang on these to stop them all');
      for (const id of next) asked.add(id);
      for (const unit of await show([...new Set(next)], timeoutMs)) found.set(unit.id, unit);
    }
    const all = [...found.values()];
    return { named, others: all.slice(named.length), all };
  };
  const refuse = async (units: Unit[]): Promise<void> => {
    const stops = new Set(units.map(({ id }) => id));
    const revivers = await show([...new Set(units.flatMap(({ revivedBy }) => revivedBy))].filter((id) => !stops.has(id)));
    const running = new Set(revivers.filter(isActive).map(({ id }) => id));
    const whys = units.map((unit) =>
      refusal(
        unit,
        (id) => stops.has(id),
        (id) => running.has(id),
      ),
    );
    const why = whys.find((one) => one !== null);
    if (why != null) throw new Error(why);
  };

  let lettingGo = new AbortController();
  /** Of all units concerned, at the end of `prepare` or of `hold`. What hangs on what is forgotten when both are down. */
  let rest: { units: string[]; stamps: string } | null = null;
  const stampsOf = (units: Unit[]): string => units.map(({ stamp }) => stamp).join('\n');
  let reference: string | null = null;
  /** By a unit that does nothing but refer to them: a start and a stop between two looks would leave no trace otherwise. */
  const remember = async (units: string[]): Promise<void> => {
    if (units.length === 0) return;
    const name = `felhom-quiesced-${randomUUID()}.service`;
    const after = units.map((unit) => `--property=After=${unit}`);
    const argv = [SYSTEMD_RUN, '--quiet', '--collect', `--unit=${name}`, ...after, '--', '/bin/sleep', `${REMEMBER_S}`] as const;
    await forget();
    reference = name;
    const { ok, tail } = await run(argv, { timeoutMs: QUICK_MS });
    if (!ok) throw new Error(`systemd forgets ${units.join(', ')}, so it could not be told whether it runs meanwhile: ${tail}`);
  };
  const forget = async (): Promise<void> => {
    if (reference !== null) await systemctl(['stop', '--no-block', '--', reference], QUICK_MS).catch(() => undefined);
    reference = null;
  };
  const atRest = async (units: string[]) => {
    await remember((await show(units)).filter(({ forgotten }) => forgotten).map(({ id }) => id));
    return { units, stamps: stampsOf(await show(units)) };
  };

  const prepare: Session['prepare'] = async () => {
    const { named, others, all } = await concerned();
    // What hangs on them and is down anyway is none of our business.
    await refuse([...named, ...others.filter(isActive)]);
    rest = await atRest(all.map(({ id }) => id));
    return { kind: 'systemd', running: all.some(isActive) };
  };

  const look: Session['look'] = async () => {
    const { named, others, all } = await concerned();
    const busy = all.find(({ active }) => ['activating', 'deactivating'].includes(active));
    if (busy !== undefined) throw new Error(`${busy.id} is just ${busy.active}`);
    if (!all.some(isActive)) return null;
    const stops = named.filter(isActive);
    // What hangs on the named ones comes after them; the first that was found hangs on nothing that was found later.
    const starts = [...startOrder(stops), ...startOrder(others.filter(isActive).toReversed())];
    return { stops: stops.map(({ id }) => id), starts };
  };

  const hold: Session['hold'] = async (state) => {
    lettingGo = new AbortController();
    const { signal } = lettingGo;
    rest = null;
    const { stops, starts } = ranIn(state);
    const { all } = await concerned();
    for (const unit of stops) {
      if (signal.aborted) throw new Error(LET_GO);
      await systemctl(['stop', '--', unit], STOP_MS, signal);
    }
    for (const unit of await show(starts)) {
      const why = unclean(unit);
      if (why !== null) throw new Error(why);
    }
    const after = await atRest([...new Set([...all.map(({ id }) => id), ...starts])]);
    if (signal.aborted) throw new Error(LET_GO);
    rest = after;
  };

  const stillHeld: Session['stillHeld'] = async () =>
    rest !== null && rest.stamps === stampsOf(await show(rest.units, GLANCE_MS));

  /** Also of one that is up: a stop that is under way is replaced. */
  const start = async (unit: string, starts: string[]): Promise<void> => {
    const [found] = await show([unit]);
    // One that was tried too often would be refused from here on.
    if (found?.active === 'failed') await systemctl(['reset-failed', '--', unit], QUICK_MS);
    try {
      // Only what ran: not what it wants or requires and somebody has stopped.
      await systemctl(['start', '--job-mode=ignore-requirements', '--', unit], START_MS);
    } catch {
      // A service that somebody has started keeps its socket from coming back; its own turn comes later.
      const inTheWay = found?.triggers.filter((one) => starts.includes(one)) ?? [];
      if (inTheWay.length > 0) await systemctl(['stop', '--', ...inTheWay], START_MS);
      await systemctl(['start', '--', unit], START_MS);
    }
  };

  const release: Session['release'] = async (state) => {
    lettingGo.abort();
    rest = null;
    const forgetting = forget();
    const { starts } = ranIn(state);
    const errors: string[] = [];
    for (const unit of starts) await start(unit, starts).catch((error: unknown) => errors.push(`${unit}: ${errorText(error)}`));
    const first = await show(starts);
    if (starts.length > 0) await sleep(clock, SETTLE_MS);
    for (const [index, unit] of (await show(starts)).entries()) {
      if (!isActive(unit)) errors.push(`${unit.id} does not stay up (${unit.active}, ${unit.result})`);
      else if (first[index]?.invocation !== unit.invocation) errors.push(`${unit.id} keeps ending and starting again`);
    }
    await forgetting;
    if (errors.length > 0) throw new Error(errors.join('; '));
  };

  return {
    prepare,
    look,
    hold,
    stillHeld,
    release,
    whereDataLies: async () => (app.data.length === 0 ? null : [...app.data]),
    close: forget,
  };
};

export const systemd: Adapter<'systemd'> = {
  account: async () => null,
  open: async (app, { run, monotonic }) => openSystemd(app, run, { ...systemClock, monotonic }),
};
