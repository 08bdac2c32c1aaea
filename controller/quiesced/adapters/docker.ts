/** Containers of a Docker Engine, stopped or paused for the cut and started again; those of compose by project and service. */
import { type Clock, sleep, waitAtMost } from '#shared/clock';
import type { AppOf } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import { systemClock } from '../clock.ts';
import type { Adapter, Session, State } from './adapter.ts';
import { type Container, isUp, placesOf, refusal, stamp, unclean } from './docker-container.ts';
import { dockerEngine, type Engine } from './docker-engine.ts';

/** `stillHeld` asks a list and then each: together less than a second. */
const GLANCE_MS = 450;
const POLL_MS = 100;
/** A container that ends at once after its start is seen to do so. */
const SETTLE_MS = 1000;
/** One container whose start hangs keeps the others of its application no longer than this. */
const TURN_MS = 5000;
/** For a stop that another process may have asked for before it died. */
const UNKNOWN_STOP_MS = 30_000;

/** A container that ran, as the lease keeps it. */
interface Ran {
  id: string;
  name: string;
  project: string;
  service: string;
  restartPolicy: string;
  startedAt: string;
  /** How long a stop that is under way may take. */
  stopMs: number;
}

const ranOf = ({ id, name, labels, restartPolicy, startedAt, stopMs }: Container): Ran => ({
  id,
  name,
  project: labels['com.docker.compose.project'] ?? '',
  service: labels['com.docker.compose.service'] ?? '',
  restartPolicy,
  startedAt,
  stopMs,
});

const LET_GO = 'it was let go while it was still being stopped';

const ranIn = (state: State): Ran[] => (state?.containers ?? []) as Ran[];

/** Sentences of several containers as one. */
const together = (errors: unknown[]): Error => new Error([...new Set(errors.map(errorText))].join('; '));

/** Those that quiesce.yaml names, running or not, in its order and each once. */
const named = async (engine: Engine, app: AppOf<'docker'>, withinMs?: number): Promise<Container[]> => {
  const found = await Promise.all(
    app.containers.map(async (entry) => {
      const [project = '', service] = entry.split('/');
      if (service !== undefined) return engine.service(project, service, withinMs);
      const one = await engine.inspect(entry, withinMs);
      return one === null ? [] : [one];
    }),
  );
  const missing = app.containers.filter((_entry, index) => found[index]?.length === 0);
  if (missing.length > 0) throw new Error(`Docker has no container ${missing.join(', ')}`);
  return [...new Map(found.flat().map((one) => [one.id, one])).values()];
};

/** The container that ran then, or the one that has been made in its place under a new id. */
const successor = async (engine: Engine, ran: Ran, all: Ran[]): Promise<Container> => {
  const same = (await engine.inspect(ran.id)) ?? (await engine.inspect(ran.name));
  if (same !== null) return same;
  const others = ran.service === '' ? [] : await engine.service(ran.project, ran.service);
  const fresh = others.filter(({ id }) => all.every((one) => one.id !== id));
  const found = fresh.find(isUp) ?? fresh[0];
  if (found === undefined) throw new Error(`container ${ran.name} ran before the backup and is gone: make it anew`);
  return found;
};

const openDocker = (app: AppOf<'docker'>, clock: Clock): Session => {
  const engine = dockerEngine(app.socket, clock);
  const stops = app.how === 'stop';
  /** What was asked of a container by this hold; settles when the Engine has answered. */
  const asked = new Map<string, Promise<void>>();
  /** Whether this process knows what it asked for. */
  let knows = false;
  let lettingGo = false;
  /** Of every container named, at the end of `prepare` or of `hold`. */
  let stamps: string | null = null;
  const stampsOf = (containers: Container[]): string => containers.map(stamp).sort().join('\n');

  const prepare: Session['prepare'] = async () => {
    const all = await named(engine, app);
    for (const one of all) {
      const why = refusal(one, app.how) ?? (one.running ? null : unclean(one));
      if (why !== null) throw new Error(why);
    }
    stamps = stampsOf(all);
    return { kind: stops ? 'docker-stop' : 'docker-pause', running: all.some(({ running }) => running) };
  };

  const look: Session['look'] = async () => {
    const up = (await named(engine, app)).filter(isUp);
    return up.length === 0 ? null : { containers: up.map(ranOf) };
  };

  const down = async (ran: Ran): Promise<void> => {
    const before = await engine.inspect(ran.id);
    if (before === null) throw new Error(`container ${ran.name} is gone`);
    const why = refusal(before, app.how);
    if (why !== null) throw new Error(why);
    if (lettingGo) throw new Error(LET_GO);
    const asking = stops ? engine.stop(before) : engine.pause(ran.id);
    asked.set(
      ran.id,
      asking.catch(() => undefined),
    );
    await asking;
    const after = await engine.inspect(ran.id);
    if (after === null) throw new Error(`container ${ran.name} is gone`);
    if (after.startedAt !== ran.startedAt || (stops ? after.running : !after.paused))
      throw new Error(`container ${ran.name} was started again by somebody else`);
    const end = stops ? unclean(after) : null;
    if (end !== null) throw new Error(end);
  };

  const hold: Session['hold'] = async (state) => {
    knows = true;
    lettingGo = false;
    stamps = null;
    for (const ran of ranIn(state)) await down(ran);
    const after = stampsOf(await named(engine, app));
    if (lettingGo) throw new Error(LET_GO);
    stamps = after;
  };

  const stillHeld: Session['stillHeld'] = async () => stamps !== null && stamps === stampsOf(await named(engine, app, GLANCE_MS));

  /** A stop that was asked for is not taken back by a start while the container still runs: it has to end first. */
  const settled = async (ran: Ran): Promise<void> => {
    if (knows) return asked.get(ran.id);
    // A process that knows nothing but the state cannot know whether a stop is under way either.
    const given = clock.monotonic() + Math.min(ran.stopMs + SETTLE_MS, UNKNOWN_STOP_MS);
    while (stops && clock.monotonic() < given) {
      const found = await engine.inspect(ran.id);
      if (found === null || !isUp(found) || found.startedAt !== ran.startedAt) return;
      await sleep(clock, POLL_MS);
    }
  };

  const up = async (ran: Ran, all: Ran[]): Promise<string> => {
    await settled(ran);
    const found = await successor(engine, ran, all);
    if (found.paused && stops) throw new Error(`container ${found.name} was paused by somebody else`);
    if (found.paused) await engine.unpause(found.id);
    else if (!found.running) await engine.start(found.id);
    return found.id;
  };

  const checked = async (id: string): Promise<Container> => {
    const found = await engine.inspect(id);
    if (found === null || !isUp(found)) throw new Error(`container ${found?.name ?? id} does not stay up`);
    return found;
  };

  const release: Session['release'] = async (state) => {
    lettingGo = true;
    stamps = null;
    const all = ranIn(state);
    const tries: Promise<string>[] = [];
    for (const ran of all.toReversed()) {
      const one = up(ran, all);
      tries.push(one);
      await waitAtMost(clock, TURN_MS, one).catch(() => undefined);
    }
    const ups = await Promise.allSettled(tries);
    const ids = ups.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const first = await Promise.allSettled(ids.map(checked));
    if (ids.length > 0) await sleep(clock, SETTLE_MS);
    const second = await Promise.allSettled(ids.map(checked));
    const restarted = second.flatMap((later, index) => {
      const earlier = first[index];
      if (later.status === 'rejected' || earlier?.status !== 'fulfilled') return [];
      if (earlier.value.startedAt === later.value.startedAt) return [];
      return [new Error(`container ${later.value.name} keeps ending and starting again`)];
    });
    const errors = [...ups, ...second].flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
    if (errors.length + restarted.length > 0) throw together([...errors, ...restarted]);
    asked.clear();
    knows = true;
  };

  const whereDataLies: Session['whereDataLies'] = async () => {
    const places: string[] = [...app.data];
    for (const one of await named(engine, app)) {
      const own = placesOf(one);
      if (own === null) return null;
      places.push(...own, ...(one.layer === '' ? await engine.roots() : []));
    }
    return [...new Set(places)];
  };

  return { prepare, look, hold, stillHeld, release, whereDataLies, close: async () => undefined };
};

export const docker: Adapter<'docker'> = {
  // The socket is root's; a group that may use it is root by another name.
  account: async () => null,
  open: async (app, { monotonic }) => openDocker(app, { ...systemClock, monotonic }),
};
