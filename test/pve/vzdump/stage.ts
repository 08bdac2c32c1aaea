/** What happens between the lines: the guest, its lock and snapshot, the data and the archive. One function an effect. */

import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Archive, Guest, Storage } from '../world.ts';
import { type Compression, removeArchiveFiles, sideFiles, writeArchive } from './archive.ts';
import type { GuestCase } from './case.ts';
import { bytesUnder, type Cut, takeCut } from './cut.ts';
import { GuestFailed } from './errors.ts';
import type { VzdumpFaults } from './faults.ts';
import { toPrune } from './prune.ts';
import type { Condition, Effect, Measured } from './steps.ts';
import type { Voice } from './voice.ts';

export interface StageOptions {
  c: GuestCase;
  guest: Guest;
  storage: Storage;
  compression: Compression;
  /** The text of the notes; what it throws becomes a warning. */
  notes: () => string;
  startedAt: number;
  clock: () => number;
  faults: VzdumpFaults;
  voice: Voice;
  signal: AbortSignal;
  /** A QEMU copy's lines on its way. */
  progress: ((percent: number, seconds: number) => string) | undefined;
}

export interface Stage {
  perform(effect: Effect): Promise<void>;
  applies(condition: Condition): boolean;
  measured(): Measured;
  /** The last of the worker's own: after every run, however it ended. `killed` leaves what SIGKILL leaves. */
  clear(killed: boolean): Promise<void>;
  /** The archive's own log lies beside it, also that of a guest that failed. */
  keepLog(lines: readonly string[]): Promise<void>;
}

/** How often a copy that is stretched looks up, and QEMU's lines come. */
const COPY_PARTS = 4;

export const createStage = async (o: StageOptions): Promise<Stage> => {
  const { c, guest, storage, clock, faults, voice } = o;
  const reached = new Set<Condition>();
  const m = {
    ...{ firstSyncBytes: 0, firstSyncSeconds: 0, finalSyncBytes: 0, finalSyncSeconds: 0 },
    ...{ tarBytes: 0, copyMs: 0, archiveBytes: 0, pruned: [] as string[] },
  };
  let cut: Cut | undefined;
  let firstSyncAt = 0;
  let offlineSince = 0;
  let offlineSeconds = 0;
  let lockedByUs = false;
  let entry: Archive | undefined;

  // Without a directory of its own (a PBS, a path of the recorded node) the data is made, measured and dropped.
  const real = c.target.kind === 'file' && existsSync(String(storage.config.path ?? '')) ? c.target.directory : undefined;
  if (real !== undefined) await mkdir(real, { recursive: true });
  const scratch = real === undefined ? await mkdtemp(join(tmpdir(), 'felhom-vzdump-')) : undefined;
  const directory = real ?? scratch ?? '';
  const archive = join(directory, c.target.kind === 'file' ? c.target.name : 'archive.tar');
  const dat = archive.replace(/\.[^.]+$/, '.dat');

  const sources = () =>
    c.volumes
      .filter((v) => v.included)
      .flatMap((v) => (guest.directories[v.key] === undefined ? [] : [{ directory: guest.directories[v.key] ?? '', at: v.at }]));

  const bytes = async (sinceMs = 0): Promise<number> =>
    (await Promise.all(sources().map((s) => bytesUnder(s.directory, sinceMs)))).reduce((a, b) => a + b, 0);

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

  const take = async (): Promise<void> => {
    if (firstSyncAt > 0) m.finalSyncBytes = await bytes(firstSyncAt);
    cut = await takeCut(sources());
  };

  const configText = (): string => {
    const keys = Object.keys(guest.config).filter((k) => k !== 'lock' && k !== 'digest' && k !== 'parent');
    return keys.map((k) => `${k}: ${guest.config[k]}\n`).join('');
  };

  const write = (signal: AbortSignal): Promise<number> =>
    writeArchive(
      {
        dat,
        compression: o.compression,
        trees: cut?.trees ?? [],
        meta:
          c.type === 'lxc'
            ? { './etc/vzdump/pct.conf': configText(), './etc/vzdump/pct.fw': '' }
            : { './qemu-server.conf': configText() },
        excludes: c.type === 'lxc',
      },
      signal,
    );

  const failsMidway = (): boolean => faults.fail !== undefined && (faults.fail.vmid ?? c.vmid) === c.vmid;

  /** Waits a stretched copy out, in parts, and tells a VM's progress. */
  const stretch = async (began: number, stop: AbortSignal): Promise<void> => {
    for (let part = 1; part <= COPY_PARTS; part++) {
      if (stop.aborted) return;
      if (part > COPY_PARTS / 2 && failsMidway()) throw new GuestFailed(faults.fail?.text);
      await voice.pause(Math.max(0, began + ((faults.copyMs ?? 0) * part) / COPY_PARTS - performance.now()));
      const seconds = Math.floor((performance.now() - began) / 1000);
      if (o.progress) await voice.say(o.progress((part * 100) / COPY_PARTS, seconds));
    }
  };

  const copy = async (): Promise<void> => {
    const began = performance.now();
    const stop = new AbortController();
    const written = write(AbortSignal.any([stop.signal, o.signal])).catch((error: unknown) => {
      throw o.signal.aborted ? error : new GuestFailed(error instanceof Error ? error.message : String(error));
    });
    try {
      await Promise.all([stretch(began, stop.signal), written]);
    } catch (error) {
      stop.abort();
      await written.catch(() => undefined);
      throw error;
    }
    m.tarBytes = await written;
    m.copyMs = performance.now() - began;
  };

  const finish = async (): Promise<void> => {
    await rename(dat, archive);
    m.archiveBytes = (await stat(archive)).size;
    const volid = `${storage.storage}:backup/${c.target.name}`;
    const format =
      c.target.kind === 'file' ? c.target.name.replace(/^.*?\.(?=(tar|vma)\b)/, '') : `pbs-${c.type === 'lxc' ? 'ct' : 'vm'}`;
    const ctime = Math.floor(o.startedAt / 1000);
    const common = { volid, vmid: c.vmid, subtype: c.type, format, ctime, size: m.archiveBytes, notes: '', protected: false };
    entry = { ...common, ...(real === undefined ? {} : { path: archive }) };
    storage.archives = [...storage.archives.filter((a) => a.volid !== volid), entry];
    occupy(m.archiveBytes);
  };

  const occupy = (size: number): void => {
    storage.used += size;
    storage.avail = Math.max(0, storage.avail - size);
  };

  const notes = async (): Promise<void> => {
    if (!entry) return;
    try {
      entry.notes = o.notes();
      if (entry.path !== undefined) await writeFile(sideFiles(entry.path).notes, entry.notes);
    } catch (error) {
      await voice.say(`WARN: unable to add notes - ${error instanceof Error ? error.message : error}`);
    }
  };

  const protect = async (): Promise<void> => {
    if (!entry) return;
    entry.protected = true;
    if (entry.path !== undefined) await writeFile(sideFiles(entry.path).protected, '');
  };

  const prune = async (): Promise<void> => {
    const own = storage.archives.filter((a) => a.vmid === c.vmid && a.subtype === c.type);
    const gone = toPrune(own, c.retention ?? { 'keep-all': 1 });
    storage.archives = storage.archives.filter((a) => !gone.includes(a));
    await Promise.all(gone.flatMap((a) => (a.path === undefined ? [] : [removeArchiveFiles(a.path)])));
    occupy(-gone.reduce((sum, a) => sum + a.size, 0));
    m.pruned = gone.map((a) => a.volid);
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
  const snapshot = async (): Promise<void> => {
    guest.config.lock = 'snapshot';
    const { lock: _lock, ...config } = guest.config;
    await voice.breathe();
    await take();
    guest.snapshots.vzdump = { config, snaptime: Math.floor(clock() / 1000), description: 'vzdump backup snapshot' };
    guest.config.lock = 'backup';
    reached.add('snapshotted');
  };

  const removeOldSnapshot = async (): Promise<void> => {
    guest.config.lock = 'snapshot-delete';
    await voice.breathe();
    delete guest.snapshots.vzdump;
    guest.config.lock = 'backup';
  };

  /** Not waited for by the stopping of a task. */
  const deleteSnapshot = async (): Promise<void> => {
    guest.config.lock = 'snapshot-delete';
    await voice.breathe().catch(() => undefined);
    delete guest.snapshots.vzdump;
    delete guest.config.lock;
    reached.delete('snapshotted');
  };

  const EFFECTS: Record<Effect, () => void | Promise<void>> = {
    lock,
    unlock,
    snapshot,
    'remove old snapshot': removeOldSnapshot,
    'delete snapshot': deleteSnapshot,
    'first sync': async () => {
      const began = clock();
      m.firstSyncBytes = await bytes();
      firstSyncAt = Date.now();
      m.firstSyncSeconds = Math.floor((clock() - began) / 1000);
    },
    cut: async () => {
      // Late between two lines: who lets writes go on at the line before is found out.
      await voice.breathe();
      await take();
    },
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
    copy,
    finish,
    notes,
    protect,
    prune,
  };

  return {
    perform: async (effect) => EFFECTS[effect](),
    applies: (condition) => reached.has(condition),
    measured: () => {
      const offline = offlineSince > 0 ? Math.floor((clock() - offlineSince) / 1000) : offlineSeconds;
      const elapsedSeconds = Math.floor(clock() / 1000) - Math.floor(o.startedAt / 1000);
      return { ...m, now: clock(), elapsedSeconds, offlineSeconds: offline };
    },
    clear: async (killed) => {
      const begun = cut !== undefined && entry === undefined;
      await cut?.remove();
      cut = undefined;
      // The shell opens the file before the first byte is in it.
      if (killed && begun && real !== undefined) await appendFile(dat, '');
      if (!killed) await rm(dat, { force: true });
      if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
    },
    keepLog: async (lines) => {
      if (real !== undefined) await writeFile(sideFiles(archive).log, lines.map((l) => `${l}\n`).join(''));
    },
  };
};
