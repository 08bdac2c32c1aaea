/** What each look at the drives makes known: what is wrong with them, and which guests see something else than before. */
import type { Clock } from '#shared/clock';
import type { ProblemCode } from '#shared/problems';
import type { Disk } from '#shared/wire/disks';
import type { NewProblem, Problems } from '../../health/problems.ts';
import type { Inventory } from '../inventory/drive.ts';

export interface WatchPorts {
  clock: Clock;
  problems: Pick<Problems, 'raise' | 'clear'>;
  /** The guests that may want to know. */
  guests: () => readonly number[];
  /** What a guest sees; without what changes while nothing happens to its drives. */
  listing: (vmid: number, inventory: Inventory) => readonly Disk[];
  /** This guest sees something else than before. */
  changed: (vmid: number) => void;
}

/** What is wrong for less than this may be a host that is starting, or a drive that spins up. */
const PATIENCE_MS = 60_000;

type Wrong = Omit<NewProblem, 'code' | 'vmid'>;

/** Guests read these, all of them: no serial, no label, nothing of the configuration. */
const WRONG: Partial<Record<ProblemCode, (inventory: Inventory) => Wrong | null>> = {
  'drive-source-missing': ({ missing }) =>
    missing.length === 0
      ? null
      : {
          sentence:
            'Not everything about the drives of this host could be found out, so every drive is taken for one that the host needs: none can be connected.',
          evidence: `no whole answer from: ${missing.map(({ source }) => source).join(', ')}`,
          nextStep: 'The operator looks why: "felhom-agent disks list" says what is missing.',
        },
  'drive-not-answering': ({ drives }) => {
    const silent = drives.filter(({ state }) => state === 'not-answering').map(({ name }) => name);
    if (silent.length === 0) return null;
    return {
      sentence: `A drive of this host does not answer: ${silent.join(', ')}. What is on it cannot be reached now.`,
      evidence: `not answering: ${silent.join(', ')}`,
      nextStep: 'The operator checks its cable and its power, and has a replacement ready.',
    };
  },
  // A drive that is not seen for the moment may be the one that is meant.
  'protect-unmatched': ({ missing, unmatchedProtect: { length } }) =>
    length === 0 || missing.length > 0
      ? null
      : {
          sentence: `The agent's configuration protects ${length === 1 ? 'a drive that was never seen' : `${length} drives that were never seen`} on this host.`,
          evidence: `${length} of the entries of disks.protect match no drive, plugged in or remembered`,
          nextStep: 'The operator compares disks.protect with "felhom-agent disks list": a mistyped entry protects nothing.',
        },
};

/** All that a guest would act upon. Words that go on by themselves (how much of a drive was read) are no news. */
const newsIn = (listing: readonly Disk[]): string =>
  JSON.stringify(
    listing.map((disk) => [
      ...[disk.name, disk.type, disk.state, disk.role, disk.role_reason, disk.data_bearing, disk.durable_id, disk.owner],
      ...[disk.mount_path, disk.guest_path, disk.not_assignable, disk.fstype, disk.label, disk.smart.health],
    ]),
  );

export const createWatch = ({ clock, problems, guests, listing, changed }: WatchPorts) => {
  const since = new Map<ProblemCode, number>();
  const told = new Map<number, string>();

  const judge = (code: ProblemCode, wrong: Wrong | null): void => {
    if (wrong === null) {
      since.delete(code);
      problems.clear(code, null);
      return;
    }
    const first = since.get(code) ?? clock.monotonic();
    since.set(code, first);
    if (clock.monotonic() - first >= PATIENCE_MS) problems.raise({ code, vmid: null, ...wrong });
  };

  const tellNews = (inventory: Inventory): void => {
    const all = guests();
    for (const vmid of told.keys()) if (!all.includes(vmid)) told.delete(vmid);
    for (const vmid of all) {
      const news = newsIn(listing(vmid, inventory));
      const before = told.get(vmid);
      told.set(vmid, news);
      if (before !== undefined && before !== news) changed(vmid);
    }
  };

  return {
    /** Of every look, oldest first. */
    saw: (inventory: Inventory): void => {
      for (const [code, wrong] of Object.entries(WRONG)) judge(code as ProblemCode, wrong(inventory));
      tellNews(inventory);
    },
  };
};
