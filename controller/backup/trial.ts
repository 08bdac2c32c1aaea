/** `quiesce test`: makes every application ready, holds it, looks, lets it go, right now and without a backup. Nothing here rejects. */
import type { Replies } from '#shared/quiesce/protocol';
import { type BackupStatus, getBackupStatus } from '#shared/wire/backups';
import type { Answered, ConnectQuiesced, Quiesced } from '../ports/quiesced.ts';
import { isContainer } from './coverage.ts';
import { type GuestPorts, lookAround, viewOf } from './guest-view.ts';
import { planApps } from './plan.ts';
import type { AppOutcome } from './result.ts';
import { judge } from './verdict.ts';

export interface TrialPorts extends GuestPorts {
  connect: ConnectQuiesced;
}

export interface TriedApp extends AppOutcome {
  running: boolean;
  /** Whether a backup would hold it. */
  would_hold: boolean;
  /** How long it took to get ready. */
  prepare_ms: number;
  /** It is not back yet, and why; empty where it is. */
  not_back: string;
}

export interface Trial {
  /** Whether it was judged as for a backup that fixes all data in one instant. */
  one_instant: boolean;
  apps: TriedApp[];
}

const PREPARE_MS = 150_000;
/** Bringing to the disks what was written. */
const FLUSH_MS = 65_000;
const HOLD_MS = 90_000;
const CHECK_MS = 2000;
const RELEASE_MS = 120_000;

const lastStatus = ({ agent }: GuestPorts): Promise<BackupStatus | null> => agent.call(getBackupStatus).catch(() => null);

const holdAll = async (quiesced: Quiesced, apps: string[], flush: boolean): Promise<Answered<Replies['hold']>> =>
  apps.length === 0
    ? { ok: true, data: { left_ms: 0, apps: [] } }
    : quiesced.call('hold', { apps, hold_expected_ms: null, flush }, { timeoutMs: HOLD_MS });

const tryOn = async (quiesced: Quiesced, guest: GuestPorts): Promise<Answered<Trial>> => {
  const [prepared, around, status] = await Promise.all([
    quiesced.call('prepare', { apps: [], within_ms: PREPARE_MS }, { timeoutMs: PREPARE_MS + FLUSH_MS }),
    lookAround(guest),
    lastStatus(guest),
  ]);
  if (!prepared.ok) return prepared;
  const { apps } = prepared.data;
  // As it was the last time; before the first time: a container is cut in one instant, a virtual machine perhaps not.
  const one_instant = status?.one_instant ?? (around.coverage !== null && isContainer(around.coverage));
  const planned = planApps(apps, await viewOf(guest, around, apps), one_instant);
  const wanted = apps.flatMap(({ app, ok, running, hold }) => (ok && running && hold !== 'never' ? [app] : []));
  const held = await holdAll(quiesced, wanted, !one_instant);
  const checked = await quiesced.call('check', {}, { timeoutMs: CHECK_MS });
  const released = await quiesced.call('release', {}, { timeoutMs: RELEASE_MS });
  const failure = [held, checked, released].find(({ ok }) => !ok);
  const outcomes = judge(
    planned.map((app) => ({ ...app, hold: wanted.includes(app.name) })),
    { reason: 'point', oneInstant: one_instant, frozenMs: 0 },
    {
      held: held.ok ? held.data.apps : [],
      checked: checked.ok ? checked.data.apps : [],
      released: released.ok ? released.data.apps : [],
      error: failure && !failure.ok ? failure.error : '',
    },
  );
  const notBack = (name: string): string => {
    if (!released.ok) return wanted.includes(name) ? released.error : '';
    const one = released.data.apps.find(({ app }) => app === name);
    return one === undefined || one.back ? '' : one.error;
  };
  const tried = outcomes.map((outcome, index) => ({
    ...outcome,
    running: planned[index]?.running === true,
    would_hold: planned[index]?.hold === true,
    prepare_ms: apps[index]?.ms ?? 0,
    not_back: notBack(outcome.name),
  }));
  return { ok: true, data: { one_instant, apps: tried } };
};

export const tryHolds = async ({ connect, ...guest }: TrialPorts): Promise<Answered<Trial>> => {
  const connected = await connect();
  if (!connected.ok) return connected;
  try {
    return await tryOn(connected.data, guest);
  } finally {
    connected.data.close();
  }
};
