/** Units as `systemctl show` tells of them (org.freedesktop.systemd1(5)), and what that means for a hold. Pure. */

/** Those that `unitsOf` reads. */
export const PROPERTIES = [
  'Id',
  'LoadState',
  'ActiveState',
  'SubState',
  'Result',
  'Transient',
  'RefuseManualStop',
  'RefuseManualStart',
  'InvocationID',
  'ActiveEnterTimestampMonotonic',
  'InactiveEnterTimestampMonotonic',
  'NRestarts',
  'ControlGroup',
  'TriggeredBy',
  'Triggers',
  'UpheldBy',
  'RequiredBy',
  'RequisiteOf',
  'BoundBy',
  'ConsistsOf',
  'PropagatesStopTo',
] as const;
type Property = (typeof PROPERTIES)[number];

export interface Unit {
  id: string;
  /** `loaded`, `not-found`, `masked`, … */
  loaded: string;
  active: string;
  sub: string;
  /** `success`, or how its last run ended; empty for kinds of units that have none. */
  result: string;
  /** Made by systemd-run(1) or the like: once it is down, nobody knows it any more. */
  transient: boolean;
  byHand: boolean;
  /** Another one at each start. */
  invocation: string;
  /** All that changes when it is started or stopped. */
  stamp: string;
  /** It is down, and systemd does not know since when: it forgets units that nothing refers to as soon as they are down. */
  forgotten: boolean;
  /** Processes of it are left (KillMode=process); of one that is down, nothing else keeps its control group. */
  populated: boolean;
  /** Whatever starts it again by itself: sockets, timers, paths, and units that uphold it. */
  revivedBy: string[];
  /** The services of a socket. */
  triggers: string[];
  /** Stopped with it, but not started with it. */
  stoppedWith: string[];
}

const parseOne = (block: string): Unit => {
  const values = new Map<string, string>();
  for (const line of block.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) values.set(line.slice(0, at), line.slice(at + 1));
  }
  const text = (property: Property): string => values.get(property) ?? '';
  const list = (...properties: Property[]): string[] => properties.flatMap((one) => text(one).split(' ').filter(Boolean));
  return {
    id: text('Id'),
    loaded: text('LoadState'),
    active: text('ActiveState'),
    sub: text('SubState'),
    result: text('Result'),
    transient: text('Transient') === 'yes',
    byHand: text('RefuseManualStop') !== 'yes' && text('RefuseManualStart') !== 'yes',
    invocation: text('InvocationID'),
    stamp: [
      text('Id'),
      text('ActiveState'),
      text('InvocationID'),
      text('ActiveEnterTimestampMonotonic'),
      text('InactiveEnterTimestampMonotonic'),
      text('NRestarts'),
    ].join(' '),
    forgotten: text('ActiveState') === 'inactive' && ['', '0'].includes(text('InactiveEnterTimestampMonotonic')),
    populated: text('ControlGroup') !== '',
    revivedBy: list('TriggeredBy', 'UpheldBy'),
    triggers: list('Triggers'),
    stoppedWith: list('RequiredBy', 'RequisiteOf', 'BoundBy', 'ConsistsOf', 'PropagatesStopTo'),
  };
};

/** @param shown what `systemctl show --property=…` printed: a block a unit, an empty line between two */
export const unitsOf = (shown: string): Unit[] =>
  shown
    .split(/\n\s*\n/)
    .map((block) => block.trim())
    .filter((block) => block !== '')
    .map(parseOne);

/** `reloading` and `refreshing` run as well. */
export const isActive = ({ active }: Unit): boolean => ['active', 'reloading', 'refreshing'].includes(active);

/** Null: it can be held. @param whether a unit that would start it again is among those that are stopped first */
export const refusal = (unit: Unit, stops: (id: string) => boolean, runs: (id: string) => boolean): string | null => {
  const { id, loaded, active, sub, result, transient, byHand, revivedBy } = unit;
  if (loaded !== 'loaded') return `systemd has no unit ${id} (${loaded})`;
  if (['activating', 'deactivating', 'maintenance'].includes(active)) return `${id} is just ${active} (${sub})`;
  if (active === 'failed') return `${id} has failed (${result}), so it is not known whether its files are complete`;
  if (!isActive(unit)) return null;
  if (transient) return `${id} was made by systemd-run: stopped, it would be gone, and could not be started again`;
  if (!byHand) return `${id} may not be stopped and started by hand (RefuseManualStop, RefuseManualStart)`;
  const reviver = revivedBy.find((one) => runs(one) && !stops(one));
  if (reviver !== undefined) return `${reviver} would start ${id} again while it is held: list it too, before ${id}`;
  return null;
};

/**
 * The opposite of the order of stopping, but a socket always before its service: while that runs, the socket cannot be started
 * ("Socket service already active, refusing").
 */
export const startOrder = (stopped: readonly Unit[]): string[] => {
  const order = new Set<string>();
  for (const { id } of stopped.toReversed()) {
    for (const socket of stopped) if (socket.triggers.includes(id)) order.add(socket.id);
    order.add(id);
  }
  return [...order];
};

/** Null: it is down, and ended well. */
export const unclean = ({ id, active, sub, result, populated }: Unit): string | null => {
  if (active === 'inactive' && populated) return `${id} left processes behind that may go on writing (KillMode)`;
  if (active === 'inactive' && (result === 'success' || result === '')) return null;
  if (active === 'failed') return `${id} did not end well (${result}), so it is not known whether its files are complete`;
  return `${id} is not down (${active}, ${sub})`;
};
