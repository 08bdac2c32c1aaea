/** The parts of the backup service, put together: what keeps the books, what carries a job, what goes along with it. */
import type { AgentConfig } from '#agent/config';
import type { Problems } from '#agent/health/problems';
import type { RunCommand } from '#agent/ports/command';
import type { GuestCgroup } from '#agent/ports/guest-cgroup';
import type { Journal } from '#agent/ports/journal';
import type { Leftovers } from '#agent/ports/leftovers';
import type { Proxmox } from '#agent/ports/proxmox';
import type { Store } from '#agent/ports/store';
import type { TaskIndex } from '#agent/ports/task-index';
import type { TaskLog } from '#agent/ports/task-log';
import { parseUpid } from '#agent/ports/upid';
import { createTurn } from '#agent/turn';
import type { Clock } from '#shared/clock';
import { createAudit } from './audit.ts';
import { createBook } from './book.ts';
import { createCarrier } from './carry.ts';
import { createCleanUp } from './clean-up.ts';
import { createEstimate } from './estimate.ts';
import { createForeign } from './foreign.ts';
import { createFreeze } from './freeze.ts';
import { createHeld } from './held.ts';
import { createJobs, type Job, type StopReason } from './jobs.ts';
import { createJudge } from './judge.ts';
import { createLaunch } from './launch.ts';
import { createListeners } from './listeners.ts';
import { createNews } from './news.ts';
import { createPreempt } from './preempt.ts';
import { createRecords } from './record.ts';
import { createStaleLock } from './stale-lock.ts';
import { createTasks } from './task.ts';

export interface BackupPorts {
  store: Store;
  proxmox: Proxmox;
  taskLog: TaskLog;
  taskIndex: TaskIndex;
  cgroup: Pick<GuestCgroup, 'frozen' | 'thaw'>;
  /** One pass over a running container's file systems; nothing for any other guest. */
  syncGuest: (vmid: number) => Promise<void>;
  run: RunCommand<'flock'>;
  leftovers: Pick<Leftovers, 'remove'>;
  /** Bytes of a file; null when there is none. */
  fileSize: (path: string) => Promise<number | null>;
  /** vzdump's, one for the node. */
  lockFile: string;
  /** Goes into the archives' notes. */
  hostId: string;
  problems: Pick<Problems, 'raise' | 'clear'>;
  clock: Clock;
  journal: Journal;
  settings: () => Pick<AgentConfig['backup'], 'storage' | 'compress' | 'startPreempts'>;
}

export const createParts = (ports: BackupPorts) => {
  const { store, proxmox, taskLog, taskIndex, clock, journal, problems, settings } = ports;
  const jobs = createJobs(store);
  const closing = new AbortController();
  const news = createNews(clock);
  const records = createRecords(jobs);
  const audit = createAudit(store, clock);
  const changed = createListeners(journal);
  const ended = createListeners(journal);
  /** Two starts at once never see the node idle both. */
  const inTurn = createTurn();

  const tell = (job: Job): void => {
    news.tell(job);
    records.note(job);
    changed.tell(job);
  };
  const book = createBook({ jobs, clock, journal, tell, ended: ended.tell, closing: closing.signal });

  const carried = new Set<Promise<void>>();
  const background = (run: Promise<void>): void => {
    carried.add(run);
    void run.finally(() => carried.delete(run));
  };

  /** Where the node's own list cannot be read Proxmox is asked. */
  const tasksHere = async (): Promise<string[]> => {
    const here = await taskIndex.read();
    if (here !== null) return here.filter(({ running }) => running).map(({ upid }) => upid);
    return (await proxmox.runningVzdump().catch(() => [])).map(({ upid }) => upid);
  };
  const isBusy = async (vmid: number): Promise<boolean> =>
    (await tasksHere()).some((upid) => {
      const task = parseUpid(upid);
      const mayTouch = task?.id === String(vmid) || (task?.type === 'vzdump' && task.id === '');
      return mayTouch && !book.running().some((job) => job.upid === upid);
    });
  const lastSize = async (vmid: number) => (await records.of(vmid, clock.now())).lastGood?.sizeBytes ?? null;
  const stop = (job: Job, why: StopReason): Job => {
    const known = book.now(job);
    const stopping = known.failure === '' ? book.change(known, { failure: why }) : known;
    carrier.stop(stopping);
    return stopping;
  };

  const shared = { proxmox, clock, journal, closing: closing.signal };
  const follow = createTasks({ ...shared, taskLog });
  const held = createHeld({ jobs, book, clock, closing: closing.signal });
  const carrier = createCarrier({
    ...{ ...shared, problems, book, follow, held },
    launcher: createLaunch({ ...shared, book, syncGuest: ports.syncGuest }),
    judge: createJudge(shared),
    freeze: createFreeze({ clock, journal, problems, audit, isBusy, cgroup: ports.cgroup }),
    cleanUp: createCleanUp({ proxmox, journal, leftovers: ports.leftovers }),
    companions: [
      createPreempt({ taskIndex, clock, isAllowed: () => settings().startPreempts, stop }),
      createEstimate({ proxmox, clock, fileSize: ports.fileSize, isAwaited: news.isAwaited, lastSize }),
    ],
  });
  const foreign = createForeign({ ...shared, taskIndex, jobs, book, records, follow, inTurn, background });
  const repairStaleLock = createStaleLock({
    ...{ store, proxmox, taskIndex, clock, journal, audit },
    run: ports.run,
    lockFile: ports.lockFile,
    isBusy: () => book.running().length > 0,
  });

  return {
    jobs,
    closing,
    news,
    records,
    changed,
    ended,
    inTurn,
    book,
    carried,
    background,
    stop,
    held,
    carrier,
    foreign,
    repairStaleLock,
  };
};
