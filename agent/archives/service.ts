/** What lies in the storage: listed, kept or deleted, checked, and how it is restored. */
import type { Job } from '#agent/backups/jobs';
import { type Collector, createCollector } from '#agent/collector';
import type { AgentConfig } from '#agent/config';
import type { Problems } from '#agent/health/problems';
import type { ArchiveCheck } from '#agent/ports/archive-check';
import type { Journal } from '#agent/ports/journal';
import { forGuest, type GuestResource, type Proxmox } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import { createTurn, type InTurn } from '#agent/turn';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { PrunePlan, RestoreAdvice, VerifyState } from '#shared/wire/admin-backups';
import type { ArchivesQuery, Archives as WireArchives } from '#shared/wire/archives';
import { type Archive, archiveName, isCheckable } from './archive.ts';
import { createCatalogue } from './catalogue.ts';
import { plausibility } from './plausible.ts';
import { auditOf, createPruner } from './prune.ts';
import { restoreLines } from './restore.ts';
import { createVerifier } from './verify.ts';
import { archivesView, planView, restoreView, verifyView } from './view.ts';
import { stoppedProblem } from './words.ts';

export interface ArchivePorts {
  store: Store;
  proxmox: Pick<
    Proxmox,
    'node' | 'backupVolumes' | 'deleteVolume' | 'protectVolume' | 'volumeInfo' | 'resources' | 'guestConfig' | 'storageConfigs'
  >;
  clock: Clock;
  journal: Journal;
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
  settings: () => AgentConfig['backup'];
  hostId: string;
  check: ArchiveCheck;
  /** A backup runs. */
  busy: () => boolean;
  /** The enrolled guests. */
  guests: () => readonly number[];
  /** Archives of this guest came, went, or are known better. */
  onChange?: (vmid: number) => void;
}

export type ArchiveService = ReturnType<typeof createArchives>;

/** A listing is asked for anew after a minute; nobody waits longer for it than for any other answer. */
const TIMING = { deadlineMs: 7_000, keepMs: 60_000 };
/** Without anybody asking: so that a deletion by hand, or a backup server's verdict, is seen. */
const LOOK_MS = 6 * 3_600_000;
/** After a listing that failed. */
const LOOK_AGAIN_MS = 10 * 60_000;
/** Between two guests' listings: Proxmox is asked at most six times a minute in all while nothing happens. */
const LOOK_APART_MS = 60_000;
const FIRST_VMID = 100;

export const createArchives = (ports: ArchivePorts) => {
  const { store, proxmox, clock, journal, problems, settings, hostId, check, busy, guests, onChange: changed = () => {} } = ports;
  const catalogue = createCatalogue(store, hostId);
  const pruner = createPruner({ catalogue, proxmox, clock, journal, problems, settings });
  const verifier = createVerifier({
    catalogue,
    storage: () => settings().storage,
    proxmox,
    check,
    clock,
    journal,
    problems,
    busy,
    guests,
    changed,
  });
  const collectors = new Map<string, Collector<true>>();
  const turns = new Map<number, InTurn>();
  /** Monotonic; of each guest that was looked after. */
  const lookedAt = new Map<number, number>();
  let nextLookAt = Number.NEGATIVE_INFINITY;

  /** A listing is taken over before the next is asked for, and nothing is deleted between the two. */
  const inTurn = <T>(vmid: number, act: () => Promise<T>): Promise<T> => {
    const turn = turns.get(vmid) ?? createTurn();
    turns.set(vmid, turn);
    return turn(act);
  };

  /** Only what Proxmox showed changes anything: a listing that fails, or is refused, leaves the table as it is. */
  const takeOver = async (storage: string, vmid: number): Promise<void> => {
    const volumes = await proxmox.backupVolumes(storage, vmid);
    await catalogue.reconcile(storage, vmid, volumes, clock.now());
    lookedAt.set(vmid, clock.monotonic());
  };

  const collectorOf = (storage: string, vmid: number): Collector<true> => {
    const key = `${storage} ${vmid}`;
    const collect = () => inTurn(vmid, async (): Promise<true> => takeOver(storage, vmid).then(() => true));
    const known = collectors.get(key) ?? createCollector(clock, TIMING, collect);
    collectors.set(key, known);
    return known;
  };

  /** Of the storage in use; of another one only what is known to be there still. */
  const list = async (vmid: number, query: ArchivesQuery): Promise<WireArchives> => {
    const { storage } = settings();
    const before = await catalogue.ofGuest(vmid);
    const others = [...new Set(before.map((archive) => archive.storage))].filter((one) => one !== storage);
    const [own, ...rest] = await Promise.all([storage, ...others].map((one) => collectorOf(one, vmid).read()));
    const there = new Set([storage, ...others.filter((_, index) => rest[index]?.fresh === true)]);
    const archives = (await catalogue.ofGuest(vmid)).filter((archive) => there.has(archive.storage));
    const known = own?.value != null || archives.length > 0;
    if (!known) throw own?.failure instanceof Error ? unanswered(own.failure) : nothingKnown();
    return archivesView(vmid, archives, query, { now: clock.now(), ageMs: own?.ageMs ?? null });
  };

  /** Exactly as Proxmox lists it, now. */
  const find = async (volid: string): Promise<Archive> => {
    const name = archiveName(volid);
    const storage = volid.slice(0, volid.indexOf(':'));
    if (name === null)
      throw new FelhomError('not-found', `"${volid}" is not the name of an archive, such as "storage:backup/vzdump-….tar.zst".`);
    await inTurn(name.vmid, () => takeOver(storage, name.vmid)).catch((error: unknown) => {
      throw unanswered(error);
    });
    const archive = await catalogue.one(volid);
    if (archive !== null) return archive;
    throw new FelhomError(
      'not-found',
      `There is no archive "${volid}". "felhom-agent backup list ${name.vmid}" shows which there are.`,
    );
  };

  const prune = (vmid: number, { dryRun }: { dryRun: boolean }): Promise<PrunePlan> =>
    inTurn(vmid, async () => {
      const { storage } = settings();
      await takeOver(storage, vmid).catch((error: unknown) => {
        throw unanswered(error);
      });
      const plan = await pruner.plan(vmid, storage);
      const deleted = dryRun ? [] : await pruner.carryOut(plan, 'root');
      if (deleted.length > 0) changed(vmid);
      return planView(plan, deleted);
    });

  /** After a backup of ours: its archive is taken in, and what it replaces goes. Never rejects. */
  const afterBackup = async (job: Pick<Job, 'vmid' | 'storage' | 'state' | 'source'>): Promise<void> => {
    const { vmid, storage, state, source } = job;
    if (state !== 'done') return;
    try {
      await inTurn(vmid, async () => {
        await takeOver(storage, vmid);
        if (source !== 'proxmox') await pruner.carryOut(await pruner.plan(vmid, storage), 'agent');
      });
      await verifier.judge();
    } catch (error) {
      if (source !== 'proxmox') problems.raise(stoppedProblem(vmid, 'The backup storage could not be listed after the backup.'));
      journal('warning', 'The archives could not be looked through after a backup.', { vmid, storage, why: String(error) });
    }
    changed(vmid);
  };

  /** One guest at a time, the one that was not looked after for longest. */
  const look = async (): Promise<void> => {
    const now = clock.monotonic();
    const ageOf = (vmid: number) => now - (lookedAt.get(vmid) ?? Number.NEGATIVE_INFINITY);
    const [vmid] = [...guests()].sort((a, b) => ageOf(b) - ageOf(a) || a - b);
    if (vmid === undefined || now < nextLookAt || ageOf(vmid) < LOOK_MS || busy()) return;
    lookedAt.set(vmid, now - LOOK_MS + LOOK_AGAIN_MS);
    const { failure } = await collectorOf(settings().storage, vmid).read();
    // A storage that cannot be listed for one guest cannot be for the others.
    nextLookAt = clock.monotonic() + (failure === undefined ? LOOK_APART_MS : LOOK_AGAIN_MS);
    if (failure !== undefined) journal('warning', 'The archives of a guest could not be listed.', { vmid, why: String(failure) });
  };

  const tick = async (): Promise<void> => {
    try {
      await look();
      await verifier.judge();
      await verifier.begin();
    } catch (error) {
      journal('error', 'Looking after the archives failed.', { why: String(error) });
    }
  };

  const protect = async (volid: string, on: boolean): Promise<Archive> => {
    const archive = await find(volid);
    await proxmox.protectVolume(archive.storage, volid, on).catch((error: unknown) => {
      throw unanswered(error);
    });
    await catalogue.setProtected(volid, on, auditOf(clock, 'root', on ? 'archive-protected' : 'archive-unprotected', { volid }));
    changed(archive.vmid);
    return { ...archive, protected: on };
  };

  const stateOf = (archive: Archive): VerifyState =>
    verifyView(archive, verifier.isUnderWay(archive.volid), verifier.hindrance(archive.volid));

  /** At once, or as soon as no backup and no other check runs. */
  const verify = async (volid: string): Promise<VerifyState> => {
    const archive = await find(volid);
    if (!isCheckable(archive.format)) return stateOf(archive);
    verifier.ask(volid);
    await verifier.begin();
    return stateOf(archive);
  };

  const verifyState = async (volid: string): Promise<VerifyState> => {
    const archive = await catalogue.one(volid);
    return stateOf(archive ?? (await find(volid)));
  };

  const restoreAdvice = async (volid: string): Promise<RestoreAdvice> => {
    const archive = await find(volid);
    const type = archiveName(volid)?.guest ?? 'lxc';
    try {
      const [{ guests: all }, storages] = await Promise.all([proxmox.resources(), proxmox.storageConfigs()]);
      const guest = all.find(({ vmid }) => vmid === archive.vmid) ?? null;
      const isHere = guest?.node === proxmox.node && guest.type === type;
      const config = isHere ? await proxmox.guestConfig(type, archive.vmid) : null;
      const freeVmid = freeOf(all);
      const lines = restoreLines({ volid, vmid: archive.vmid, type, node: proxmox.node, guest, config, storages, freeVmid });
      return restoreView(archive, lines, clock.now());
    } catch (error) {
      throw unanswered(error);
    }
  };

  /** Bytes of the newest archives that are believable in size, newest first; at most three. From the table. */
  const recentSizes = async (vmid: number): Promise<number[]> => plausibility(await catalogue.ofGuest(vmid)).sizes;

  return {
    list,
    recentSizes,
    afterBackup,
    tick,
    plan: (vmid: number): Promise<PrunePlan> => prune(vmid, { dryRun: true }),
    prune,
    protect,
    verify,
    verifyState,
    restoreAdvice,
    close: (): Promise<void> => verifier.close(),
  };
};

/** The lowest number from 100 on that nobody has; Proxmox refuses it if somebody takes it meanwhile. */
const freeOf = (guests: readonly GuestResource[]): number => {
  const taken = new Set(guests.map(({ vmid }) => vmid));
  let free = FIRST_VMID;
  while (taken.has(free)) free += 1;
  return free;
};

const nothingKnown = () =>
  new FelhomError('not-known', "This guest's archives could not be listed. Please try again in a minute.");

/** Proxmox's own words stay in the cause. */
const unanswered = (error: unknown): unknown => {
  const told = forGuest(error);
  return told instanceof FelhomError ? told : new FelhomError('not-known', nothingKnown().message, error);
};
