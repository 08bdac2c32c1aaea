/** Takes over what the storage shows: when somebody asks, and every few hours by itself. */
import { type Collector, createCollector } from '#agent/collector';
import type { AgentConfig } from '#agent/config';
import type { Journal } from '#agent/ports/journal';
import type { Proxmox } from '#agent/ports/proxmox';
import { createTurn, type InTurn } from '#agent/turn';
import type { Clock } from '#shared/clock';
import { FelhomError } from '#shared/errors';
import type { ArchivesQuery, Archives as WireArchives } from '#shared/wire/archives';
import { type Archive, archiveName } from './archive.ts';
import type { Catalogue } from './catalogue.ts';
import { nothingKnown, unanswered } from './refusal.ts';
import { archivesView } from './view.ts';

export interface ListingPorts {
  catalogue: Catalogue;
  proxmox: Pick<Proxmox, 'backupVolumes'>;
  clock: Clock;
  journal: Journal;
  settings: () => Pick<AgentConfig['backup'], 'storage'>;
  /** A backup runs. */
  busy: () => boolean;
  /** The enrolled guests. */
  guests: () => readonly number[];
}

/** A listing is asked for anew after a minute; nobody waits longer for it than for any other answer. */
const TIMING = { deadlineMs: 7_000, keepMs: 60_000 };
/** Without anybody asking: so that a deletion by hand, or a backup server's verdict, is seen. */
const LOOK_MS = 6 * 3_600_000;
/** After a listing that failed. */
const LOOK_AGAIN_MS = 10 * 60_000;
/** Between two guests' listings: Proxmox is asked at most six times a minute in all while nothing happens. */
const LOOK_APART_MS = 60_000;

export const createListing = ({ catalogue, proxmox, clock, journal, settings, busy, guests }: ListingPorts) => {
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

  return { inTurn, takeOver, list, find, look };
};
