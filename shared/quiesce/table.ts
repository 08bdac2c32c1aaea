/** When holding helps, and what may then be claimed: one table that a person can read. Pure. */
import type { Label } from '../label.ts';

export const PROVIDES = ['app', 'filesystem', 'crash'] as const;

/**
 * `instant`: all data is fixed in one instant (a container's snapshot, a virtual machine whose freeze is proved, or all of an
 * application's data on one disk). `disks`: disk after disk, without a freeze.
 */
export type Cut = 'instant' | 'disks';

/** What the adapter found, so that one row says what is true of it. */
export const KINDS = [
  'postgres',
  'mysql-innodb',
  'mysql-mixed',
  'redis-rdb',
  'redis-aof',
  'sqlite',
  'docker-stop',
  'docker-pause',
  'systemd',
  'command-app',
  'command-filesystem',
  'command-crash',
] as const;
export type Kind = (typeof KINDS)[number];

interface Row {
  /** Whether `hold: auto` holds it. */
  hold: boolean;
  /** Whether the archive may be called `app` for it, once what the row asks for was true at the cut. */
  app: boolean;
}

const HOLD: Row = { hold: true, app: true };
const HELD_IN_VAIN: Row = { hold: true, app: false };
const FREE: Row = { hold: false, app: true };
const NO_HELP: Row = { hold: false, app: false };

export const TABLE: Readonly<Record<Kind, Readonly<Record<Cut, Row>>>> = {
  // Recovers by itself from one instant (WAL); from several only when it is stopped.
  postgres: { instant: FREE, disks: NO_HELP },
  'mysql-innodb': { instant: FREE, disks: NO_HELP },
  // Tables without a log of their own rest under FLUSH TABLES WITH READ LOCK; InnoDB's background writes go on all the same.
  'mysql-mixed': { instant: HOLD, disks: NO_HELP },
  // The dump that BGSAVE finished is whole, whatever comes after.
  'redis-rdb': { instant: FREE, disks: HOLD },
  'redis-aof': { instant: HOLD, disks: HOLD },
  sqlite: { instant: FREE, disks: HOLD },
  'docker-stop': { instant: HOLD, disks: HOLD },
  // Nothing is flushed by a pause.
  'docker-pause': { instant: HELD_IN_VAIN, disks: HELD_IN_VAIN },
  systemd: { instant: HOLD, disks: HOLD },
  // What quiesce.yaml declares.
  'command-app': { instant: HOLD, disks: HOLD },
  'command-filesystem': { instant: HELD_IN_VAIN, disks: HELD_IN_VAIN },
  'command-crash': { instant: HELD_IN_VAIN, disks: HELD_IN_VAIN },
};

/** @param policy the application's `hold` in quiesce.yaml */
export const wantsHold = (kind: Kind, cut: Cut, policy: 'auto' | 'always' | 'never'): boolean =>
  policy === 'always' || (policy === 'auto' && TABLE[kind][cut].hold);

export interface AppFacts {
  kind: Kind;
  /** How the data of this application was fixed in the end. */
  cut: Cut;
  /** It was held from before the cut until after it, by one and the same hold. */
  held: boolean;
  /** What needs no hold was true all the time: its own settings, the same server. */
  ready: boolean;
}

/** Whether the adapter's condition for `app` was true at the cut. */
export const provesApp = ({ kind, cut, held, ready }: AppFacts): boolean => {
  const row = TABLE[kind][cut];
  return row.app && ready && (held || !row.hold);
};

export interface Claim {
  app: string;
  held: boolean;
  covered: boolean;
}

/**
 * The label of an archive: the worst of the applications that were to be consistent; without any, or without their word, what
 * the mode proves. Nothing but a snapshot is ever better for it.
 */
export const archiveLabel = (
  proved: Label,
  { snapshot, intends, claims }: { snapshot: boolean; intends: readonly string[]; claims: readonly Claim[] | null },
): Label => {
  if (!snapshot || intends.length === 0 || claims === null) return proved;
  const proves = (name: string) => claims.some(({ app, held, covered }) => app === name && held && covered);
  return intends.every(proves) ? 'app' : proved;
};
