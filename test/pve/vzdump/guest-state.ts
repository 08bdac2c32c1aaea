/** What happens between the lines to the guest itself: its lock, its `vzdump` snapshot, whether it runs. */

import type { Guest } from '../world.ts';
import type { GuestCase } from './case.ts';
import { GuestFailed } from './errors.ts';
import type { Condition } from './steps.ts';
import type { Voice } from './voice.ts';

export interface GuestStateOptions {
  c: GuestCase;
  guest: Guest;
  clock: () => number;
  voice: Voice;
  /** The guest's configuration changed. */
  saved: () => void;
}

export const createGuestState = ({ c, guest, clock, voice, saved }: GuestStateOptions) => {
  const reached = new Set<Condition>();
  let offlineSince = 0;
  let offlineSeconds = 0;
  let lockedByUs = false;

  const goOffline = (): void => {
    offlineSince = clock();
  };

  const goOnline = (): void => {
    if (offlineSince > 0) offlineSeconds = Math.floor((clock() - offlineSince) / 1000);
    offlineSince = 0;
  };

  const start = (): void => {
    guest.status = 'running';
    guest.paused = false;
    guest.startedAt = Math.floor(clock() / 1000);
    guest.pid ??= c.pid;
    for (const over of ['stopped', 'started paused'] as const) reached.delete(over);
    goOnline();
  };

  const halt = (): void => {
    guest.status = 'stopped';
    guest.paused = false;
    delete guest.pid;
    delete guest.startedAt;
  };

  const lock = (): void => {
    const held = guest.config.lock;
    if (held !== undefined) throw new GuestFailed(`${c.type === 'lxc' ? 'CT' : 'VM'} is locked (${held})`);
    guest.config.lock = 'backup';
    lockedByUs = true;
  };

  const unlock = (): void => {
    if (lockedByUs && guest.config.lock === 'backup') delete guest.config.lock;
    lockedByUs = false;
  };

  /** `backup` gives way to `snapshot` while it is made. */
  const whileSnapshotLocked = async (take: () => Promise<void>): Promise<void> => {
    guest.config.lock = 'snapshot';
    saved();
    const { lock: _lock, ...config } = guest.config;
    try {
      await voice.breathe();
      await take();
      guest.snapshots.vzdump = { config, snaptime: Math.floor(clock() / 1000), description: 'vzdump backup snapshot' };
      reached.add('snapshotted');
    } finally {
      guest.config.lock = 'backup';
    }
  };

  const removeOldSnapshot = async (): Promise<void> => {
    guest.config.lock = 'snapshot-delete';
    saved();
    await voice.breathe();
    delete guest.snapshots.vzdump;
    guest.config.lock = 'backup';
  };

  /** Not waited for by the stopping of a task. */
  const deleteSnapshot = async (): Promise<void> => {
    guest.config.lock = 'snapshot-delete';
    saved();
    await voice.breathe().catch(() => undefined);
    delete guest.snapshots.vzdump;
    delete guest.config.lock;
    reached.delete('snapshotted');
  };

  const effects = {
    lock,
    unlock,
    'remove old snapshot': removeOldSnapshot,
    'delete snapshot': deleteSnapshot,
    suspend: () => {
      guest.paused = c.type === 'qemu';
      reached.add('suspended').add('was suspended');
      goOffline();
    },
    resume: () => {
      guest.paused = false;
      reached.delete('suspended');
      goOnline();
    },
    stop: () => {
      halt();
      reached.add('stopped');
      goOffline();
    },
    start,
    'start paused': () => {
      guest.status = 'running';
      guest.paused = true;
      reached.add('started paused');
    },
    'stop paused': () => {
      halt();
      reached.delete('started paused');
    },
  };

  return {
    effects,
    whileSnapshotLocked,
    applies: (condition: Condition): boolean => reached.has(condition),
    offlineSeconds: (): number => (offlineSince > 0 ? Math.floor((clock() - offlineSince) / 1000) : offlineSeconds),
  };
};
