/** Makes one application ready, in a fresh child, while it goes on working. */
import type { Clock } from '#shared/clock';
import type { QuiesceApp } from '#shared/quiesce/config';
import { errorText } from '#shared/quiesce/plain-text';
import type { Place, PreparedApp } from '#shared/quiesce/protocol';
import type { Children } from './children.ts';
import type { ChildLink } from './link.ts';

export interface PreparingPorts {
  clock: Clock;
  children: Children;
  /** Of an earlier hold. */
  isNotBack: (name: string) => boolean;
  placesOf: (paths: readonly string[] | null) => Promise<Place[] | null>;
}

export interface Prepared {
  ready: PreparedApp;
  /** Null where it is not ready. */
  link: ChildLink | null;
}

/** @param signal gives it up: no child is left. Never rejects */
export const makeReady = async (
  app: QuiesceApp,
  withinMs: number,
  signal: AbortSignal,
  { clock, children, isNotBack, placesOf }: PreparingPorts,
): Promise<Prepared> => {
  const started = clock.monotonic();
  const elapsed = () => Math.round(clock.monotonic() - started);
  const ready: PreparedApp = {
    app: app.name,
    adapter: app.adapter,
    ok: false,
    error: '',
    kind: null,
    running: false,
    hold: app.hold,
    data: null,
    ms: 0,
  };
  let link: ChildLink | null = null;
  const giveUp = () => void link?.kill();
  try {
    if (signal.aborted) throw new Error('it was given up');
    if (isNotBack(app.name)) throw new Error('it is not back yet since it was held the last time');
    link = await children.open(app);
    if (signal.aborted) throw new Error('it was given up');
    signal.addEventListener('abort', giveUp, { once: true });
    const timeoutMs = Math.max(1, Math.min(app.prepare_timeout, withinMs) - elapsed());
    const { kind, running, paths } = await link.call('prepare', null, { timeoutMs });
    Object.assign(ready, { kind, running });
    return { ready: { ...ready, data: await placesOf(paths), ok: true, ms: elapsed() }, link };
  } catch (error) {
    await link?.kill();
    return { ready: { ...ready, error: errorText(error), ms: elapsed() }, link: null };
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
};
