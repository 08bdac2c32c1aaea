/** Has archives read to their end: one at a time, the newest first, and never begun while a backup runs. */
import type { Problems } from '#agent/health/problems';
import type { ArchiveCheck, CheckResult } from '#agent/ports/archive-check';
import type { Journal } from '#agent/ports/journal';
import type { Proxmox } from '#agent/ports/proxmox';
import type { Clock } from '#shared/clock';
import { type Archive, archiveName, isCheckable, isVerifiedElsewhere } from './archive.ts';
import type { Catalogue } from './catalogue.ts';
import { damagedProblem, lateProblem } from './words.ts';

export interface VerifyPorts {
  catalogue: Catalogue;
  /** In use; one of former days may be gone with its archives unread. */
  storage: () => string;
  proxmox: Pick<Proxmox, 'volumeInfo'>;
  check: ArchiveCheck;
  clock: Clock;
  journal: Journal;
  problems: Pick<Problems, 'raise' | 'clear' | 'list'>;
  /** A backup runs. */
  busy: () => boolean;
  /** The enrolled guests: of others nothing is told. */
  guests: () => readonly number[];
  changed: (vmid: number) => void;
}

const HOUR_MS = 3_600_000;
const LATE_MS = 24 * HOUR_MS;
/** A backup server's own verify job runs once a day at most. */
const LATE_ELSEWHERE_MS = 48 * HOUR_MS;
/** So long after its start the agent catches up by itself with what it could not read while it was down. */
const SETTLE_MS = 6 * HOUR_MS;
/** After an archive could not be read. */
const RETRY_MS = HOUR_MS;

const isLate = ({ createdAt, format }: Archive, now: number): boolean =>
  now - createdAt > (isVerifiedElsewhere(format) ? LATE_ELSEWHERE_MS : LATE_MS);

const groupsOf = (archives: readonly Archive[]): Map<number, Archive[]> => {
  const groups = new Map<number, Archive[]>();
  for (const archive of archives) groups.set(archive.vmid, [...(groups.get(archive.vmid) ?? []), archive]);
  return groups;
};

export const createVerifier = ({
  catalogue,
  storage,
  proxmox,
  check,
  clock,
  journal,
  problems,
  busy,
  guests,
  changed,
}: VerifyPorts) => {
  const closing = new AbortController();
  const begun = clock.monotonic();
  let current: { volid: string; storage: string; done: Promise<void>; stop: AbortController } | null = null;
  /** Asked for by a person, in this order. */
  let asked: string[] = [];
  /** Those that could not be read, by volume id: when they may be tried again (monotonic), and why. */
  const setAside = new Map<string, { until: number; why: string }>();

  /** Proxmox tells where the file lies; its name must be the one that was asked for. */
  const pathOf = async ({ storage, volid }: Archive): Promise<string> => {
    const { path } = await proxmox.volumeInfo(storage, volid);
    const fileName = archiveName(volid)?.fileName ?? '';
    if (!path.startsWith('/') || fileName === '' || !path.endsWith(`/${fileName}`))
      throw new Error(`${volid} is no file at ${path}`);
    return path;
  };

  const read = async (archive: Archive, signal: AbortSignal): Promise<CheckResult> => {
    try {
      return await check.check(await pathOf(archive), archive.format, signal);
    } catch (error) {
      return { verdict: 'unreadable', error: 'The archive could not be opened.', detail: String(error), members: 0, bytes: 0 };
    }
  };

  /** Writes down what is known for certain; the rest is tried again. */
  const record = async (archive: Archive, { verdict, error, detail, members, bytes }: CheckResult): Promise<void> => {
    const { volid, vmid } = archive;
    if (verdict === 'unreadable') {
      setAside.set(volid, { until: clock.monotonic() + RETRY_MS, why: error });
      return journal('warning', 'An archive could not be checked.', { volid, error, detail });
    }
    setAside.delete(volid);
    const verification = ({ whole: 'ok', damaged: 'failed', unsupported: 'unsupported' } as const)[verdict];
    await catalogue.setVerdict(archive, {
      verification,
      verifiedAt: verdict === 'unsupported' ? null : clock.now(),
      verificationError: error,
    });
    if (verdict === 'whole') journal('info', 'An archive was read to its end and is whole.', { volid, members, bytes });
    else journal(verdict === 'damaged' ? 'error' : 'warning', `An archive is ${verdict}: ${error}`, { volid, detail });
    await judge();
    changed(vmid);
  };

  const run = async (archive: Archive, stop: AbortSignal): Promise<void> => {
    const result = await read(archive, AbortSignal.any([closing.signal, stop]));
    // Stopped half way: nothing is known, and it is begun anew when it can be.
    if (!closing.signal.aborted && !stop.aborted) await record(archive, result);
  };

  const next = async (): Promise<Archive | null> => {
    for (const volid of [...asked]) {
      const archive = await catalogue.one(volid);
      if (archive !== null) return archive;
      asked = asked.filter((other) => other !== volid);
    }
    const mayTry = ({ volid }: Archive) => (setAside.get(volid)?.until ?? Number.NEGATIVE_INFINITY) <= clock.monotonic();
    return (await catalogue.pending()).find((archive) => isCheckable(archive.format) && mayTry(archive)) ?? null;
  };

  const isFree = (): boolean => current === null && !closing.signal.aborted && !busy();

  /** Begins with the next one, if it may; does not wait for its end. */
  const begin = async (): Promise<void> => {
    if (!isFree()) return;
    const archive = await next();
    if (archive === null || !isFree()) return;
    asked = asked.filter((volid) => volid !== archive.volid);
    const stop = new AbortController();
    const done = run(archive, stop.signal)
      .catch((error: unknown) =>
        journal('error', 'The verification of an archive failed.', { volid: archive.volid, why: String(error) }),
      )
      .finally(() => {
        current = null;
      });
    current = { volid: archive.volid, storage: archive.storage, done, stop };
  };

  /** Raises and clears what the table says of every guest. */
  const judge = async (): Promise<void> => {
    const now = clock.now();
    const present = new Set(guests());
    const ofPresent = (archives: readonly Archive[]) => groupsOf(archives.filter(({ vmid }) => present.has(vmid)));
    const damaged = ofPresent(await catalogue.damaged());
    const settled = clock.monotonic() - begun >= SETTLE_MS;
    const late = ofPresent(
      settled ? (await catalogue.pending()).filter((archive) => archive.storage === storage() && isLate(archive, now)) : [],
    );
    for (const [vmid, archives] of damaged) problems.raise(damagedProblem(vmid, archives));
    for (const [vmid, archives] of late) {
      const why = archives.map(({ volid }) => setAside.get(volid)?.why).find(Boolean) ?? '';
      problems.raise(lateProblem(vmid, archives, why));
    }
    for (const { code, vmid } of problems.list()) {
      if (code === 'archive-damaged' && vmid !== null && !damaged.has(vmid)) problems.clear(code, vmid);
      if (code === 'verification-late' && vmid !== null && !late.has(vmid)) problems.clear(code, vmid);
    }
  };

  return {
    begin,
    judge,
    /** Puts one before all others. */
    ask: (volid: string): void => {
      if (current?.volid !== volid && !asked.includes(volid)) asked.push(volid);
      setAside.delete(volid);
    },
    /** It waits for its turn, or is being read. */
    isUnderWay: (volid: string): boolean => current?.volid === volid || asked.includes(volid),
    /** Why the last try told nothing; empty otherwise. */
    hindrance: (volid: string): string => setAside.get(volid)?.why ?? '',
    /** Ends the reading of an archive of one of these storages, which are taken out of use. */
    letGo: async (storages: readonly string[]): Promise<void> => {
      if (current === null || !storages.includes(current.storage)) return;
      current.stop.abort();
      await current.done;
    },
    close: async (): Promise<void> => {
      closing.abort();
      await current?.done;
    },
  };
};
