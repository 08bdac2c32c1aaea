/** Which applications to hold for a backup: decided from one reading, apart from doing it. Pure. */
import type { PreparedApp } from '#shared/quiesce/protocol';
import { type Cut, type Kind, wantsHold } from '#shared/quiesce/table';
import { type GuestView, isAsMounted, placeApp } from './coverage.ts';

export interface Planned {
  name: string;
  adapter: string;
  kind: Kind | null;
  /** Made ready, and running or at rest. */
  ready: boolean;
  /** Why not; empty where it is. */
  error: string;
  running: boolean;
  /** All of its data is on one disk. */
  oneDisk: boolean;
  covered: boolean;
  /** Why not; part of a sentence. */
  notCovered: string;
  /** As quiesce.yaml says. */
  policy: 'auto' | 'always' | 'never';
  hold: boolean;
}

export const cutOf = ({ oneDisk }: Pick<Planned, 'oneDisk'>, oneInstant: boolean): Cut =>
  oneInstant || oneDisk ? 'instant' : 'disks';

/** What is not running is not held: nothing writes, and nothing will be started. */
const isHeld = ({ ok, kind, running, hold }: PreparedApp, cut: Cut): boolean =>
  ok && running && kind !== null && wantsHold(kind, cut, hold);

/** @param oneInstant whether all data of the guest will be fixed in one instant, as far as that is known before */
export const planApps = (prepared: readonly PreparedApp[], view: GuestView, oneInstant: boolean): Planned[] =>
  prepared.map((app) => {
    const { covered, why, oneDisk } = placeApp(app.data, view);
    return {
      name: app.app,
      adapter: app.adapter,
      kind: app.kind,
      ready: app.ok && app.kind !== null,
      error: app.error,
      running: app.running,
      oneDisk,
      covered,
      notCovered: why,
      policy: app.hold,
      hold: isHeld(app, cutOf({ oneDisk }, oneInstant)),
    };
  });

const NOT_CONFIRMED = 'whether the backup still includes all of its data could not be found out';
const REMOUNTED = 'something else was mounted where its data lies after it was made ready';

/**
 * What a backup includes and what is mounted where was looked at minutes before the cut, so it is looked at again after it; what
 * was not so both times is not claimed. @param now null: it could not be looked at
 */
export const confirmed = (
  planned: readonly Planned[],
  prepared: readonly PreparedApp[],
  before: GuestView,
  now: GuestView | null,
): Planned[] =>
  planned.map((app) => {
    const data = prepared.find((one) => one.app === app.name)?.data ?? [];
    if (now === null || !app.covered) return { ...app, covered: false, notCovered: app.notCovered || NOT_CONFIRMED };
    const { why, oneDisk } = placeApp(data, now);
    const notCovered = isAsMounted(data, before.mounts, now.mounts) ? why : REMOUNTED;
    return { ...app, covered: notCovered === '', notCovered, oneDisk: app.oneDisk && oneDisk };
  });
