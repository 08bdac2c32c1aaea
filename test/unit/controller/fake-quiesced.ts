/** A felhom-quiesced of a test's own making: what it answers is set as the test goes, and what it was asked is kept. */
import type { Answered, ConnectQuiesced, Quiesced } from '#controller/ports/quiesced';
import { afterAwake } from '#shared/quiesce/awake';
import type { CheckedApp, PreparedApp, Replies, Verb } from '#shared/quiesce/protocol';
import type { ManualClock } from './manual-clock.ts';

interface Ports {
  clock: ManualClock;
  apps: PreparedApp[];
  /** `prepare`, `hold db wiki`, `check`, `release`, `close`. */
  act: (what: string) => void;
}

export const fakeQuiesced = ({ clock, apps, act }: Ports) => {
  const fake = {
    apps,
    /** Nobody listens. */
    down: false,
    /** Why quiesce.yaml cannot be used. */
    configError: '',
    /** How long an answer takes. */
    takes: {} as Partial<Record<Verb, number>>,
    /** Refusals, one a call. */
    refuse: {} as Partial<Record<Verb, { code: 'busy' | 'config' | 'lease' | 'internal'; error: string }[]>>,
    /** Why they cannot be held. */
    holdErrors: {} as Record<string, string>,
    /** What `check` says of them; unless told, that all stands. */
    checks: {} as Record<string, Partial<CheckedApp>>,
    notBack: {} as Record<string, string>,
    leftMs: 60_000,
    /** The requests. */
    asked: [] as object[],
    /** The connection breaks. */
    cut: () => {
      for (const end of [...ends]) end();
    },
    connect: (async () => {
      if (fake.down) return { ok: false, code: 'unreachable', error: 'felhom-quiesced cannot be reached.' };
      return { ok: true, data: open() };
    }) as ConnectQuiesced,
  };
  const ends = new Set<() => void>();

  const open = (): Quiesced => {
    let isOpen = true;
    let held: string[] = [];
    let since = 0;
    const waiting = new Set<(answer: Answered<never>) => void>();
    const closed = { ok: false, code: 'closed', error: 'felhom-quiesced has ended the connection.' } as const;
    const end = () => {
      if (!isOpen) return;
      isOpen = false;
      ends.delete(end);
      for (const answer of [...waiting]) answer(closed);
    };
    ends.add(end);
    const replies: { [V in Verb]: (request: { apps?: string[] }) => Replies[V] } = {
      prepare: () => ({ apps: fake.apps }),
      hold: ({ apps: names = [] }) => {
        held = names.filter((name) => fake.holdErrors[name] === undefined);
        return {
          left_ms: fake.leftMs,
          apps: names.map((name) => ({ app: name, held: held.includes(name), error: fake.holdErrors[name] ?? '', ms: 1 })),
        };
      },
      check: () => ({
        apps: fake.apps.map(({ app, ok }) => ({ app, stands: ok, frozen_ms: null, error: '', ...fake.checks[app] })),
      }),
      release: () => ({
        apps: held.map((name) => ({
          app: name,
          back: fake.notBack[name] === undefined,
          held_ms: Math.round(clock.monotonic() - since),
          error: fake.notBack[name] ?? '',
        })),
      }),
      status: () => ({
        version: '0',
        config_error: fake.configError,
        apps: fake.apps.map(({ app, adapter, hold }) => ({ name: app, adapter, hold })),
        hold_max_ms: 60_000,
        lease: null,
        not_back: [],
      }),
    };
    const call = (
      verb: Verb,
      request: { apps?: string[] },
      { timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal },
    ) => {
      if (!isOpen) return Promise.resolve(closed);
      act([verb, ...(verb === 'hold' ? (request.apps ?? []) : [])].join(' '));
      fake.asked.push({ verb, ...request });
      if (verb === 'hold') since = clock.monotonic();
      return new Promise<Answered<never>>((resolve) => {
        const answer = (value: Answered<never>) => {
          cancelAnswer();
          cancelTimeout();
          waiting.delete(answer);
          resolve(value);
        };
        waiting.add(answer);
        const reply = () => {
          const refused = fake.refuse[verb]?.shift();
          answer(refused ? { ok: false, ...refused } : { ok: true, data: replies[verb](request) as never });
        };
        const cancelAnswer = fake.takes[verb] === undefined ? () => undefined : clock.after(fake.takes[verb] as number, reply);
        const cancelTimeout = afterAwake(clock, timeoutMs, () =>
          answer({ ok: false, code: 'timeout', error: 'No answer in time.' }),
        );
        signal?.addEventListener('abort', () => answer({ ok: false, code: 'cancelled', error: 'Given up.' }), { once: true });
        if (fake.takes[verb] === undefined) reply();
      });
    };
    return {
      call: call as Quiesced['call'],
      isOpen: () => isOpen,
      close: () => {
        if (isOpen) act('close');
        end();
      },
    };
  };
  return fake;
};
