/** One container of the stub Engine: its states, and how it goes from one to the next (moby's daemon/{start,stop,pause,monitor}.go). */
import { randomBytes } from 'node:crypto';

export interface ContainerSpec {
  name: string;
  image?: string;
  /** Its program and arguments, as an inspection shows them. */
  command?: string[];
  labels?: Record<string, string>;
  restart?: 'no' | 'always' | 'unless-stopped' | 'on-failure';
  autoRemove?: boolean;
  /** Seconds between signal and SIGKILL; null: the Engine's 10. */
  stopTimeout?: number | null;
  stopSignal?: string;
  /** How it ends when it is asked to; `never`: only SIGKILL ends it. */
  onStop?: { code: number; afterMs?: number } | 'never';
  /** A program that ends by itself, so long after each start. */
  dies?: { code: number; afterMs: number; oom?: boolean } | null;
  /** What the Engine says when it cannot be started. */
  startFails?: string | null;
  mounts?: { Type: string; Source: string; Destination: string; Driver?: string; Name?: string; RW?: boolean }[];
  /** Null: containerd's image store, which tells no layer. */
  upperDir?: string | null;
}

/** Said as the Engine does: a status and a sentence. */
export class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const NEVER = '0001-01-01T00:00:00Z';
let ticks = 0;
/** RFC 3339 with nanoseconds, and no two alike. */
const stamp = (): string => {
  ticks = (ticks + 1) % 1_000_000;
  return new Date().toISOString().replace('Z', `${String(ticks).padStart(6, '0')}Z`);
};

export const makeContainer = (spec: ContainerSpec, removed: () => void) => {
  const id = randomBytes(32).toString('hex');
  const state = {
    Status: 'created',
    Running: false,
    Paused: false,
    Restarting: false,
    OOMKilled: false,
    Dead: false,
    ExitCode: 0,
    StartedAt: NEVER,
    FinishedAt: NEVER,
  };
  let restarts = 0;
  let stoppedByHand = false;
  let timer: NodeJS.Timeout | undefined;
  const ended: (() => void)[] = [];

  const run = (): void => {
    Object.assign(state, { Status: 'running', Running: true, Restarting: false, OOMKilled: false, ExitCode: 0 });
    state.StartedAt = stamp();
    const { dies } = spec;
    if (dies) timer = setTimeout(() => exit(dies.code, dies.oom), dies.afterMs);
  };
  const comesBack = (code: number): boolean =>
    !stoppedByHand && (spec.restart === 'on-failure' ? code !== 0 : ['always', 'unless-stopped'].includes(spec.restart ?? 'no'));

  const exit = (code: number, oom = false): void => {
    clearTimeout(timer);
    if (!state.Running) return;
    Object.assign(state, { Status: 'exited', Running: false, Paused: false, ExitCode: code, OOMKilled: oom });
    state.FinishedAt = stamp();
    if (comesBack(code)) {
      // Between two tries it counts as running (container.State.Restarting).
      Object.assign(state, { Status: 'restarting', Running: true, Restarting: true });
      restarts += 1;
      timer = setTimeout(run, 100 * 2 ** Math.min(restarts, 6));
    }
    for (const tell of ended.splice(0)) tell();
    if (spec.autoRemove) removed();
  };

  const start = (): boolean => {
    if (state.Paused) throw new Refused(409, 'cannot start a paused container, try unpause instead');
    if (state.Running && !state.Restarting) return false;
    if (spec.startFails) throw new Refused(500, spec.startFails);
    clearTimeout(timer);
    stoppedByHand = false;
    restarts = 0;
    run();
    return true;
  };

  /** Goes on also when whoever asked has gone away (context.WithoutCancel). */
  const stop = async (seconds = spec.stopTimeout ?? 10): Promise<boolean> => {
    if (!state.Running) return false;
    stoppedByHand = true;
    const { onStop = { code: 0 } } = spec;
    const gone = new Promise<void>((resolve) => ended.push(resolve));
    if (state.Restarting) {
      Object.assign(state, { Restarting: false });
      exit(state.ExitCode);
    } else if (onStop !== 'never' && (onStop.afterMs ?? 0) < seconds * 1000) {
      if ((onStop.afterMs ?? 0) === 0) exit(onStop.code);
      else setTimeout(() => exit(onStop.code), onStop.afterMs);
    } else if (seconds >= 0) setTimeout(() => exit(137), seconds * 1000);
    await gone;
    return true;
  };

  const pause = (): void => {
    if (!state.Running) throw new Refused(409, `Container ${id} is not running`);
    if (state.Paused) throw new Refused(409, `Container ${id} is already paused`);
    if (state.Restarting) throw new Refused(409, `Container ${id} is restarting, wait until the container is running`);
    Object.assign(state, { Status: 'paused', Paused: true });
  };
  const unpause = (): void => {
    if (!state.Paused) throw new Refused(500, `Container ${id} is not paused`);
    Object.assign(state, { Status: 'running', Paused: false });
  };

  /** What a restart of the Engine, or a boot, does with it. */
  const boot = (): void => {
    const wasUp = state.Running && !state.Restarting;
    const again = spec.restart === 'always' || (spec.restart === 'unless-stopped' && !stoppedByHand);
    const byHand = stoppedByHand;
    stoppedByHand = true;
    if (wasUp) exit(255);
    stoppedByHand = byHand;
    if (again && state.StartedAt !== NEVER && !state.Running) run();
  };

  const inspected = () => ({
    Id: id,
    Created: state.StartedAt,
    Path: spec.command?.[0] ?? '/entrypoint',
    Args: spec.command?.slice(1) ?? [],
    State: { ...state },
    Image: `sha256:${id}`,
    Name: `/${spec.name}`,
    RestartCount: restarts,
    HostConfig: {
      AutoRemove: spec.autoRemove ?? false,
      RestartPolicy: { Name: spec.restart ?? 'no', MaximumRetryCount: 0 },
    },
    ...(spec.upperDir === null
      ? { Storage: { RootFS: { Snapshot: { Name: 'overlayfs' } } } }
      : { GraphDriver: { Name: 'overlay2', Data: { UpperDir: spec.upperDir ?? `/var/lib/docker/overlay2/${id}/diff` } } }),
    Mounts: spec.mounts ?? [],
    Config: {
      Image: spec.image ?? 'example/app:1',
      Labels: spec.labels ?? {},
      ...(spec.stopSignal ? { StopSignal: spec.stopSignal } : {}),
      ...(spec.stopTimeout == null ? {} : { StopTimeout: spec.stopTimeout }),
    },
  });
  const listed = () => ({
    Id: id,
    Names: [`/${spec.name}`],
    Image: spec.image ?? 'example/app:1',
    Command: (spec.command ?? ['/entrypoint']).join(' '),
    Labels: spec.labels ?? {},
    State: state.Status,
    Mounts: spec.mounts ?? [],
  });

  return { id, spec, state, start, stop, pause, unpause, exit, boot, inspected, listed };
};

export type Container = ReturnType<typeof makeContainer>;
