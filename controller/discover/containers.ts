/** Docker's containers: those that keep data are stopped, after those that need them. Pure. */
import type { Mount } from '#shared/mountinfo';
import type { Findings, FoundContainer } from './findings.ts';
import { onAnotherMount, outsideOfBackups } from './places.ts';
import type { Part } from './proposal.ts';

const PROJECT = 'com.docker.compose.project';
const SERVICE = 'com.docker.compose.service';
/** `db:service_started:false,cache:service_healthy:true`, as docker compose writes it. */
const DEPENDS = 'com.docker.compose.depends_on';

/** Not data: sockets, devices, and what the host's system gives. */
const NOT_DATA = /^\/(?:dev|proc|run|sys|var\/run)(?:\/|$)|^\/etc\/(?:localtime|timezone|resolv\.conf|hosts|ssl)|\.sock$/;
const KEEPERS = [
  ['com.docker.swarm.task.id', 'a swarm'],
  ['io.kubernetes.pod.uid', 'Kubernetes'],
  ['com.hashicorp.nomad.alloc_id', 'Nomad'],
] as const;
/** They start or replace others by themselves. */
const REVIVES = /(?:^|\/)(?:watchtower|autoheal|ouroboros|diun)(?::|@|$)/;

const dataOf = ({ mounts }: FoundContainer): string[] =>
  mounts
    .filter(({ type, source, writable }) => writable && type !== 'tmpfs' && source.startsWith('/') && !NOT_DATA.test(source))
    .map(({ source }) => source);

const projectOf = ({ labels }: FoundContainer): string | null => labels[PROJECT] || null;
const serviceOf = ({ labels }: FoundContainer): string => labels[SERVICE] ?? '';
const needs = ({ labels }: FoundContainer): string[] =>
  (labels[DEPENDS] ?? '').split(',').flatMap((one) => one.split(':')[0] || []);

/** Why it cannot be stopped and started again; null: it can. */
const cannotBeStopped = ({ name, autoRemove, labels, paused }: FoundContainer): string | null => {
  const keeper = KEEPERS.find(([label]) => labels[label] !== undefined)?.[1];
  if (keeper !== undefined) return `The container ${name} is a task of ${keeper}, which would start another one in its place.`;
  if (autoRemove) return `The container ${name} was started with --rm: it would be gone once it is stopped.`;
  if (paused) return `The container ${name} is paused.`;
  return null;
};

/** Those that keep data, and whatever needs them, directly or not. */
const affected = (containers: readonly FoundContainer[]): FoundContainer[] => {
  const chosen = new Set(containers.filter((one) => dataOf(one).length > 0));
  for (let before = -1; before !== chosen.size; ) {
    before = chosen.size;
    const services = new Set([...chosen].map(serviceOf));
    for (const one of containers) if (needs(one).some((service) => services.has(service))) chosen.add(one);
  }
  return containers.filter((one) => chosen.has(one));
};

/** Whoever needs another one comes before it; otherwise by name. A circle is taken as it comes. */
const dependentsFirst = (containers: readonly FoundContainer[]): FoundContainer[] => {
  const left = [...containers].sort((a, b) => (a.name < b.name ? -1 : 1));
  const ordered: FoundContainer[] = [];
  while (left.length > 0) {
    const free = left.findIndex((one) => !left.some((other) => other !== one && needs(other).includes(serviceOf(one))));
    ordered.push(...left.splice(Math.max(free, 0), 1));
  }
  return ordered;
};

/** By project and service where that is one container, since its id and name may change; else by its name. */
const wordFor = (container: FoundContainer, all: readonly FoundContainer[]): string => {
  const [project, service] = [projectOf(container), serviceOf(container)];
  const twins = all.filter((one) => projectOf(one) === project && serviceOf(one) === service);
  return project !== null && service !== '' && twins.length === 1 ? `${project}/${service}` : container.name;
};

const outsideOf = (containers: readonly FoundContainer[], mounts: readonly Mount[]): string[] =>
  containers.flatMap((one) =>
    dataOf(one).flatMap((path) => {
      const outside = outsideOfBackups(mounts, path);
      return outside === null ? [] : [`The container ${one.name}: ${outside}, which is in no backup of this guest.`];
    }),
  );

const propose = (title: string, group: readonly FoundContainer[], all: readonly FoundContainer[], mounts: Mount[]): Part => {
  const chosen = dependentsFirst(affected(group.filter((one) => cannotBeStopped(one) === null)));
  const uncovered = [...group.flatMap((one) => cannotBeStopped(one) ?? []), ...outsideOf(chosen, mounts)];
  if (chosen.length === 0) return { uncovered };
  const places = [...new Set(chosen.flatMap(dataOf))];
  const why = [
    `${projectOf(chosen[0] as FoundContainer) === null ? 'A container' : 'A project'} of Docker: stopped for the seconds until the data is fixed, then started again.`,
    `Images: ${[...new Set(chosen.map(({ image }) => image))].join(', ')}.`,
    ...onAnotherMount(
      mounts,
      places.filter((path) => outsideOfBackups(mounts, path) === null),
    ),
  ];
  const entry = { name: title, adapter: 'docker' as const, containers: chosen.map((one) => wordFor(one, all)) };
  return { proposed: [{ entry, why, active: true }], uncovered };
};

const grouped = (containers: readonly FoundContainer[]): [string, FoundContainer[]][] => {
  const groups = new Map<string, FoundContainer[]>();
  for (const one of containers) {
    // No container's name has a slash in it.
    const key = projectOf(one) === null ? `/${one.name}` : (projectOf(one) as string);
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, group]) => [key.replace(/^\//, ''), group]);
};

const without = (containers: readonly FoundContainer[], parts: readonly Part[]): string[] => {
  const named = parts.flatMap(({ proposed = [] }) => proposed.flatMap(({ entry }) => entry.containers as string[]));
  return containers
    .filter((one) => cannotBeStopped(one) === null && dataOf(one).length === 0 && !named.includes(wordFor(one, containers)))
    .map(({ name }) => name);
};

export const dockerContainers = ({ docker, mounts }: Findings): Part[] => {
  if (docker === null) return [];
  if (typeof docker === 'string') return [{ unseen: [`Docker's containers: ${docker}.`] }];
  const parts = grouped(docker).map(([title, group]) => propose(title, group, docker, mounts));
  const idle = without(docker, parts);
  const notes = [
    ...(idle.length === 0
      ? []
      : [`These containers keep nothing outside of themselves and are left running: ${idle.join(', ')}.`]),
    ...docker
      .filter(({ image }) => REVIVES.test(image))
      .map(({ name }) => `The container ${name} may start others while they are held; their backup is not "app" then.`),
  ];
  return [...parts, { notes }];
};
