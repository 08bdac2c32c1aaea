/** What lies in the storage: listed, kept or deleted, checked, and how it is restored. */
import { auditEntry } from '#agent/audit';
import type { Job } from '#agent/backups/jobs';
import type { AgentConfig } from '#agent/config';
import type { Problems } from '#agent/health/problems';
import type { ArchiveCheck } from '#agent/ports/archive-check';
import type { Journal } from '#agent/ports/journal';
import type { Proxmox } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import type { Clock } from '#shared/clock';
import type { PrunePlan, RestoreAdvice, VerifyState } from '#shared/wire/admin-backups';
import { createAdvice } from './advice.ts';
import { type Archive, isCheckable } from './archive.ts';
import { createCatalogue } from './catalogue.ts';
import { createListing } from './listing.ts';
import { plausibility } from './plausible.ts';
import { createPruner } from './prune.ts';
import { unanswered } from './refusal.ts';
import { createVerifier } from './verify.ts';
import { planView, verifyView } from './view.ts';
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

export const createArchives = (ports: ArchivePorts) => {
  const { store, proxmox, clock, journal, problems, settings, hostId, onChange: changed = () => {} } = ports;
  const catalogue = createCatalogue(store, hostId);
  const { inTurn, takeOver, list, find, look } = createListing({ ...ports, catalogue });
  const advise = createAdvice(ports);
  const pruner = createPruner({ catalogue, proxmox, clock, journal, problems, settings });
  const verifier = createVerifier({ ...ports, catalogue, storage: () => settings().storage, changed });

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
    await catalogue.setProtected(
      volid,
      on,
      auditEntry(clock, 'root', on ? 'archive-protected' : 'archive-unprotected', { volid }),
    );
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
    restoreAdvice: async (volid: string): Promise<RestoreAdvice> => advise(await find(volid)),
    letGo: verifier.letGo,
    close: (): Promise<void> => verifier.close(),
  };
};
