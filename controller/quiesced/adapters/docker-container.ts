/** A container as its inspection shows it, and what that means for a hold. Pure. */
import { constants } from 'node:os';

/** The part of `GET /containers/{id}/json` that is read here. */
export interface Inspected {
  Id: string;
  Name: string;
  Path?: string;
  Args?: string[] | null;
  State: {
    Status: string;
    Running: boolean;
    Paused: boolean;
    Restarting: boolean;
    OOMKilled: boolean;
    ExitCode: number;
    StartedAt: string;
    FinishedAt: string;
  };
  Config: { Image: string; Labels?: Record<string, string> | null; StopSignal?: string; StopTimeout?: number | null };
  HostConfig: { AutoRemove?: boolean; RestartPolicy?: { Name?: string } | null };
  Mounts?: { Type: string; Source?: string; Driver?: string }[] | null;
  /** Not there with containerd's image store. */
  GraphDriver?: { Data?: { UpperDir?: string } | null } | null;
}

export interface Container {
  id: string;
  name: string;
  image: string;
  /** What it runs: its program and the first word after it. */
  runs: string[];
  labels: Record<string, string>;
  status: string;
  running: boolean;
  paused: boolean;
  /** Between two tries of its restart policy. */
  restarting: boolean;
  oomKilled: boolean;
  exitCode: number;
  startedAt: string;
  finishedAt: string;
  stopSignal: string;
  /** How long it has between the signal and SIGKILL. */
  stopMs: number;
  autoRemove: boolean;
  restartPolicy: string;
  mounts: { type: string; source: string; driver: string }[];
  /** Its own writable layer; empty where it does not say. */
  layer: string;
}

/** What the Engine takes where a container names none (container/container_unix.go). */
const USUAL_STOP_S = 10;
/** For a container that is given for ever (-1); a hold lasts no longer in any case. */
const MOST_STOP_S = 600;

export const containerOf = (found: Inspected): Container => {
  const stopS = found.Config.StopTimeout ?? USUAL_STOP_S;
  return {
    id: found.Id,
    name: found.Name.replace(/^\//, ''),
    image: found.Config.Image,
    runs: [found.Path ?? '', ...(found.Args ?? []).slice(0, 1)],
    labels: found.Config.Labels ?? {},
    status: found.State.Status,
    running: found.State.Running,
    paused: found.State.Paused,
    restarting: found.State.Restarting,
    oomKilled: found.State.OOMKilled,
    exitCode: found.State.ExitCode,
    startedAt: found.State.StartedAt,
    finishedAt: found.State.FinishedAt,
    stopSignal: found.Config.StopSignal || 'SIGTERM',
    stopMs: (stopS < 0 ? MOST_STOP_S : Math.min(stopS, MOST_STOP_S)) * 1000,
    autoRemove: found.HostConfig.AutoRemove === true,
    restartPolicy: found.HostConfig.RestartPolicy?.Name || 'no',
    mounts: (found.Mounts ?? []).map(({ Type, Source, Driver }) => ({ type: Type, source: Source ?? '', driver: Driver ?? '' })),
    layer: found.GraphDriver?.Data?.UpperDir ?? '',
  };
};

export const isUp = ({ running, paused, restarting }: Container): boolean => running && !paused && !restarting;

/** Says when it was last started and ended, and what it is: a container that went up and down meanwhile shows another one. */
export const stamp = ({ id, status, startedAt, finishedAt }: Container): string => [id, status, startedAt, finishedAt].join(' ');

/** 128 and the number of the signal: how a program ends that leaves its stop signal to the system, and a Java one in any case. */
const endedBy = (signal: string): number =>
  128 + (constants.signals[(signal.startsWith('SIG') ? signal : `SIG${signal}`) as NodeJS.Signals] ?? Number(signal));

/**
 * Null: it ended well, or never ran. 0, or 128 and its own stop signal; anything else, and SIGKILL in any case (137), is an end
 * that may have come in the middle of a write.
 */
export const unclean = ({ name, status, exitCode, oomKilled, stopSignal }: Container): string | null => {
  if (status === 'created') return null;
  if (oomKilled) return `container ${name} ran out of memory, so its files may end in the middle of a write`;
  if (exitCode === 137) return `container ${name} was killed (exit code 137), so its files may end in the middle of a write`;
  if (exitCode === 0 || exitCode === endedBy(stopSignal)) return null;
  return `container ${name} ended with exit code ${exitCode}, so it is not known whether its files are complete`;
};

/** Labels of those that start a container again as soon as it is down. */
const KEEPERS: readonly [label: string, who: string][] = [
  ['com.docker.swarm.task', 'a swarm'],
  ['io.kubernetes.pod.uid', 'Kubernetes'],
  ['com.hashicorp.nomad.alloc_id', 'Nomad'],
];
const keeperOf = ({ labels }: Container): string | undefined =>
  KEEPERS.find(([label]) => Object.keys(labels).some((one) => one === label || one.startsWith(`${label}.`)))?.[1];

/** Engines that would be stopped in the middle of a write, with locks that their clients run into. */
const DATABASES =
  /postgres|postgis|pgvector|timescale|mysql|mariadb|percona|mongo|redis|valkey|keydb|couch|influx|cassandra|scylla|clickhouse|cockroach|elasticsearch|opensearch|mssql|neo4j|etcd|rethinkdb|victoria|prometheus/i;

/** Only the repository's own name: a registry called `redis.example` is none. */
const isDatabase = ({ image, runs }: Container): boolean =>
  [
    image
      .replace(/@sha256:.*$/, '')
      .split('/')
      .at(-1) ?? '',
    ...runs,
  ].some((text) => DATABASES.test(text));

/** Null: it can be held. */
export const refusal = (container: Container, how: 'stop' | 'pause'): string | null => {
  const { name, autoRemove, paused, restarting, stopMs } = container;
  if (autoRemove) return `container ${name} was made with --rm: stopped, it would be gone, and could not be started again`;
  const keeper = keeperOf(container);
  if (keeper !== undefined) return `container ${name} belongs to ${keeper}, which would start it again while it is held`;
  if (how === 'pause' && isDatabase(container))
    return `container ${name} is a database (${container.image}): a pause flushes nothing; use its own adapter, or how: stop`;
  if (how === 'stop' && stopMs === 0)
    return `container ${name} has a stop time-out of 0 s: it would be killed instead of stopped`;
  if (restarting) return `container ${name} keeps ending and starting again`;
  if (paused) return `container ${name} is paused, so what it wrote last may be in its memory only`;
  return null;
};

/** Nothing of these lies in any archive, nor outlives a boot: the Engine's own socket, devices. */
const FLEETING = /^\/(var\/run|run|proc|sys|dev)(\/|$)/;

/** Null: it keeps data where this machine does not see it. */
export const placesOf = ({ mounts, layer }: Container): string[] | null => {
  const kept = mounts.filter(({ type, source }) => type !== 'tmpfs' && type !== 'image' && !FLEETING.test(source));
  const seen = kept.every(
    ({ type, source, driver }) => source !== '' && (type === 'bind' || (type === 'volume' && (driver || 'local') === 'local')),
  );
  return seen ? [...kept.map(({ source }) => source), ...(layer === '' ? [] : [layer])] : null;
};
