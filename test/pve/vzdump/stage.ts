/** What happens between the lines to the data, the archive and the storage's list. One function an effect. */

import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkerDied } from '../tasks.ts';
import type { Archive, Guest, Storage } from '../world.ts';
import { type Compression, removeArchiveFiles, sideFiles, writeArchive } from './archive.ts';
import type { GuestCase } from './case.ts';
import { bytesUnder, type Cut, takeCut } from './cut.ts';
import { GuestFailed, Interrupted } from './errors.ts';
import type { VzdumpFaults } from './faults.ts';
import { createGuestState } from './guest-state.ts';
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
  /** The guest's configuration changed. */
  saved: () => void;
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
  const state = createGuestState(o);
  const m = {
    ...{ firstSyncBytes: 0, firstSyncSeconds: 0, finalSyncBytes: 0, finalSyncSeconds: 0 },
    ...{ tarBytes: 0, copyMs: 0, archiveBytes: 0, pruned: [] as string[] },
  };
  let cut: Cut | undefined;
  let firstSyncAt = 0;
  let entry: Archive | undefined;

  // Without a directory of its own (a PBS, a path of the recorded node) the data is made, measured and dropped.
  const real = c.target.kind === 'file' && existsSync(String(storage.config.path ?? '')) ? c.target.directory : undefined;
  // What is wrong with it shows when the archive is opened.
  if (real !== undefined) await mkdir(real, { recursive: true }).catch(() => undefined);
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

  const take = async (): Promise<void> => {
    if (firstSyncAt > 0) m.finalSyncBytes = await bytes(firstSyncAt);
    const writesOn = c.type === 'qemu' && c.running && !c.paused && c.mode === 'snapshot' && c.agent !== 'answers';
    cut = await takeCut(sources(), writesOn ? faults.cutGapMs : 0);
  };

  const configText = (): string => {
    const keys = Object.keys(guest.config).filter((k) => k !== 'lock' && k !== 'digest' && k !== 'parent');
    const raw = (guest.lxc ?? []).map(([k, value]) => `${k}: ${value}\n`);
    return [...keys.map((k) => `${k}: ${guest.config[k]}\n`), ...raw].join('');
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
            : { 'qemu-server.conf': configText() },
        type: c.type,
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
    const written = write(AbortSignal.any([stop.signal, o.signal]));
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

  const EFFECTS: Record<Effect, () => void | Promise<void>> = {
    ...state.effects,
    snapshot: () => state.whileSnapshotLocked(take),
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
    copy,
    finish,
    notes,
    protect,
    prune,
  };

  return {
    perform: async (effect) => {
      try {
        await EFFECTS[effect]();
      } catch (error) {
        const ours = error instanceof GuestFailed || error instanceof Interrupted || error instanceof WorkerDied;
        throw ours || o.signal.aborted ? error : new GuestFailed(error instanceof Error ? error.message : String(error));
      } finally {
        o.saved();
      }
    },
    applies: state.applies,
    measured: () => {
      const elapsedSeconds = Math.floor(clock() / 1000) - Math.floor(o.startedAt / 1000);
      return { ...m, now: clock(), elapsedSeconds, offlineSeconds: state.offlineSeconds() };
    },
    clear: async (killed) => {
      const begun = cut !== undefined && entry === undefined;
      await cut?.remove();
      cut = undefined;
      // The shell opens the file before the first byte is in it.
      if (killed && begun && real !== undefined) await appendFile(dat, '').catch(() => undefined);
      if (!killed) await rm(dat, { force: true }).catch(() => undefined);
      if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
    },
    keepLog: async (lines) => {
      if (real === undefined) return;
      await writeFile(sideFiles(archive).log, lines.map((l) => `${l}\n`).join('')).catch(() => undefined);
    },
  };
};
