/** What may be said of each application after the cut, and why not more. Pure: one row a reason, the first that is true counts. */
import type { CheckedApp, HeldApp, ReleasedApp } from '#shared/quiesce/protocol';
import { provesApp, TABLE } from '#shared/quiesce/table';
import type { BackupStatus, HeldApp as HeldReport } from '#shared/wire/backups';
import { RELEASE_REASONS, type ReleaseReason } from './hold.ts';
import { cutOf, type Planned } from './plan.ts';
import type { AppOutcome } from './result.ts';

/** What happened to the applications, and what the host says of the cut. */
export interface CutFacts {
  /** Why they were let go; only after `point` anything can be said. */
  reason: ReleaseReason;
  /** All data of the guest was fixed in one instant. */
  oneInstant: boolean;
  /** How long the whole guest stood still, as the host says. */
  frozenMs: number;
}

export interface Answers {
  held: readonly HeldApp[];
  /** Empty where felhom-quiesced did not answer. */
  checked: readonly CheckedApp[];
  released: readonly ReleasedApp[];
  /** Why felhom-quiesced said nothing; empty where it did. */
  error: string;
}

/** The host and felhom-quiesced measure the same freeze, each with its own clock. */
const SAME_FREEZE_MS = 2000;

/** A hold whose end came during a freeze stood at the cut, if the host saw one, and it was that long: a busy guest stalls too. */
const stood = (checked: CheckedApp | undefined, { frozenMs }: CutFacts): boolean => {
  if (checked === undefined) return false;
  if (checked.stands) return true;
  return checked.frozen_ms !== null && frozenMs > 0 && frozenMs + SAME_FREEZE_MS >= checked.frozen_ms;
};

interface AppFacts {
  app: Planned;
  /** Of the table, by how its data was fixed in the end. */
  needsHold: boolean;
  facts: CutFacts;
  wasHeld: boolean;
  stands: boolean;
  proved: boolean;
  hold: HeldApp | undefined;
  check: CheckedApp | undefined;
  error: string;
}

const neverCounts = ({ kind }: Planned): boolean => kind !== null && !TABLE[kind].instant.app && !TABLE[kind].disks.app;

const declared = ({ kind }: Planned): string =>
  kind === 'docker-pause'
    ? 'a container that is paused has written nothing out; quiesce.yaml can say "how: stop"'
    : `quiesce.yaml says that its command makes it no better than "${kind === 'command-filesystem' ? 'filesystem' : 'crash'}"`;

const WHY: [AppOutcome['code'], (of: AppFacts) => boolean, (of: AppFacts) => string][] = [
  ['not-ready', ({ app }) => !app.ready, ({ app, error }) => app.error || error || 'it could not be made ready'],
  ['declared', ({ app }) => neverCounts(app), ({ app }) => declared(app)],
  ['not-covered', ({ app }) => !app.covered, ({ app }) => app.notCovered],
  ['ok', ({ proved }) => proved, () => ''],
  [
    'declared',
    ({ app, needsHold }) => needsHold && app.policy === 'never',
    () => 'quiesce.yaml says that it is never to be held',
  ],
  [
    'no-point',
    ({ facts }) => facts.reason !== 'point',
    ({ facts }) => `it was let go before its data was fixed: ${RELEASE_REASONS[facts.reason]}`,
  ],
  ['not-held', ({ app, wasHeld }) => app.hold && !wasHeld, ({ hold, error }) => hold?.error || error || 'it could not be held'],
  [
    'hold-lost',
    ({ stands }) => !stands,
    ({ check, error }) => check?.error || error || 'it cannot be said whether it was still held when its data was fixed',
  ],
  ['several-disks', () => true, () => 'its data was fixed one disk after another, and that does not help it'],
];

const outcome = (app: Planned, facts: CutFacts, { held, checked, released, error }: Answers): AppOutcome => {
  const hold = held.find((one) => one.app === app.name);
  const check = checked.find((one) => one.app === app.name);
  const wasHeld = hold?.held === true;
  const stands = stood(check, facts);
  const atRest = !app.running;
  const proved =
    facts.reason === 'point' &&
    app.kind !== null &&
    provesApp({
      kind: app.kind,
      cut: cutOf(app, facts.oneInstant),
      held: wasHeld || atRest,
      ready: app.ready && stands,
    });
  const row = app.kind === null ? null : TABLE[app.kind][cutOf(app, facts.oneInstant)];
  const of = { app, needsHold: row?.app === true && row.hold, facts, wasHeld, stands, proved, hold, check, error };
  const [code, , why] = WHY.find(([, applies]) => applies(of)) as (typeof WHY)[number];
  return {
    name: app.name,
    adapter: app.adapter,
    kind: app.kind,
    held: wasHeld,
    held_ms: wasHeld ? (released.find((one) => one.app === app.name)?.held_ms ?? null) : null,
    consistent: proved,
    covered: app.covered,
    ok: proved && app.covered,
    code,
    why: why(of),
  };
};

export const judge = (planned: readonly Planned[], facts: CutFacts, answers: Answers): AppOutcome[] =>
  planned.map((app) => outcome(app, facts, answers));

/** As the agent is told. @param elapsedMs where felhom-quiesced has not said yet how long each was held */
export const reportOf = ({ name, held, held_ms, consistent, covered }: AppOutcome, elapsedMs: number | null): HeldReport => ({
  app: name,
  held: consistent,
  held_ms: held ? Math.max(0, Math.round(held_ms ?? elapsedMs ?? 0)) : 0,
  covered,
});

/** What the host counts in the end: one that was begun by somebody else asked for nobody, and a report may have been lost. */
export const counted = (outcomes: AppOutcome[], { intends, apps }: Pick<BackupStatus, 'intends' | 'apps'>): AppOutcome[] =>
  outcomes.map((one) => {
    if (!one.ok || apps?.some(({ app, held, covered }) => app === one.name && held && covered)) return one;
    if (intends === undefined || intends.includes(one.name)) return { ...one, ok: false, code: 'not-told', why: NOT_TOLD };
    return { ...one, ok: false, code: 'other-backup', why: OTHER_BACKUP };
  });

const NOT_TOLD = 'the host was not told in time that it was consistent';
const OTHER_BACKUP = 'the host was making a backup already, which was not begun for it';
