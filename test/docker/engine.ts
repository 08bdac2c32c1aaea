/**
 * A stub Docker Engine on a Unix socket. It answers as docs.docker.com/reference/api/engine (v1.41 and later) says; no container
 * runs. What the real one does besides cannot be shown here: no Engine runs on the machines that test.
 */
import { rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { type Container, type ContainerSpec, makeContainer, Refused } from './container.ts';

export interface EngineOptions {
  apiVersion?: string;
  minApiVersion?: string;
  /** containerd's image store instead of a graph driver. */
  snapshotter?: boolean;
}

/** The label that docker compose gives a container of a service. */
export const composeLabels = (project: string, service: string, number = 1): Record<string, string> => ({
  'com.docker.compose.project': project,
  'com.docker.compose.service': service,
  'com.docker.compose.container-number': String(number),
  'com.docker.compose.oneoff': 'False',
});

const minor = (version: string): number => Number(version.split('.')[1]);

export const startEngine = async (socketPath: string, options: EngineOptions = {}) => {
  const { apiVersion = '1.47', minApiVersion = '1.24', snapshotter = false } = options;
  const containers: Container[] = [];
  const calls: string[] = [];
  /** Null: it answers. Otherwise what waits until it does again, as behind a process that stands still. */
  let waiting: (() => void)[] | null = null;
  /** Answers that are wrong, by the end of their path. */
  const faults = new Map<string, { status: number; message: string }>();

  const remove = (container: Container): void => {
    const index = containers.indexOf(container);
    if (index >= 0) containers.splice(index, 1);
  };
  const create = (spec: ContainerSpec): Container => {
    if (containers.some((one) => one.spec.name === spec.name))
      throw new Refused(409, `Conflict. The container name "/${spec.name}" is already in use by container.`);
    const container: Container = makeContainer(spec, () => remove(container));
    containers.push(container);
    return container;
  };
  /** By name, id, or the beginning of an id that is no other's. */
  const find = (ref: string): Container => {
    const exact = containers.find(({ id, spec }) => id === ref || spec.name === ref);
    const begun = containers.filter(({ id }) => id.startsWith(ref));
    const found = exact ?? (begun.length === 1 ? begun[0] : undefined);
    if (found === undefined) throw new Refused(404, `No such container: ${ref}`);
    return found;
  };

  const matches = (container: Container, filters: { label?: string[] }): boolean =>
    (filters.label ?? []).every((wanted) => {
      const [key = '', ...value] = wanted.split('=');
      const has = container.spec.labels?.[key];
      return value.length === 0 ? has !== undefined : has === value.join('=');
    });
  const list = (query: URLSearchParams) => {
    const all = ['1', 'true', 'True'].includes(query.get('all') ?? '');
    const filters = JSON.parse(query.get('filters') ?? '{}') as { label?: string[] };
    return containers.filter((one) => (all || one.state.Running) && matches(one, filters)).map((one) => one.listed());
  };
  const changed = (yes: boolean) => ({ status: yes ? 204 : 304, body: null });

  const answer = async (method: string, path: string, query: URLSearchParams): Promise<{ status: number; body: unknown }> => {
    const fault = [...faults].find(([end]) => path.endsWith(end))?.[1];
    if (fault) throw new Refused(fault.status, fault.message);
    const [, kind, ref = '', verb = ''] = path.split('/');
    if (method === 'GET' && path === '/version')
      return { status: 200, body: { Version: '27.5.1', ApiVersion: apiVersion, MinAPIVersion: minApiVersion } };
    if (method === 'GET' && path === '/info') {
      const driver = snapshotter ? ['driver-type', 'io.containerd.snapshotter.v1'] : ['Backing Filesystem', 'extfs'];
      return { status: 200, body: { DockerRootDir: '/var/lib/docker', DriverStatus: [driver] } };
    }
    if (method === 'GET' && path === '/containers/json') return { status: 200, body: list(query) };
    if (kind !== 'containers') throw new Refused(404, 'page not found');
    const container = find(decodeURIComponent(ref));
    if (method === 'GET' && verb === 'json') return { status: 200, body: container.inspected() };
    if (method !== 'POST') throw new Refused(404, 'page not found');
    if (verb === 'start') return changed(container.start());
    if (verb === 'stop') return changed(await container.stop(query.has('t') ? Number(query.get('t')) : undefined));
    if (verb === 'pause') container.pause();
    else if (verb === 'unpause') container.unpause();
    else throw new Refused(404, 'page not found');
    return changed(true);
  };

  const send = (response: ServerResponse, status: number, body: unknown): void => {
    if (response.destroyed) return;
    if (body === null) response.writeHead(status).end();
    else response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://docker');
    const [, version, path] = /^(?:\/v(\d+\.\d+))?(\/.*)$/.exec(url.pathname) ?? [];
    const act = async () => {
      calls.push(`${request.method} ${path}`);
      try {
        if (version && minor(version) < minor(minApiVersion))
          throw new Refused(400, `client version ${version} is too old. Minimum supported API version is ${minApiVersion}`);
        if (version && minor(version) > minor(apiVersion))
          throw new Refused(400, `client version ${version} is too new. Maximum supported API version is ${apiVersion}`);
        const { status, body } = await answer(request.method ?? '', path ?? '', url.searchParams);
        send(response, status, body);
      } catch (error) {
        const { status = 500, message } = error as Refused;
        send(response, status, { message });
      }
    };
    if (waiting === null) void act();
    else waiting.push(() => void act());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, resolve);
  });

  return {
    socketPath,
    containers,
    /** Every call so far: `POST /containers/<id>/stop`. */
    calls,
    create,
    /** Made and started. */
    run: (spec: ContainerSpec): Container => {
      const container = create(spec);
      container.start();
      return container;
    },
    find,
    remove: (ref: string) => remove(find(ref)),
    /** As `docker compose up` or watchtower: gone, and made again under another id. */
    recreate: (ref: string, { start = false } = {}): Container => {
      const old = find(ref);
      remove(old);
      const fresh = create(old.spec);
      if (start) fresh.start();
      return fresh;
    },
    /** Accepts connections, and answers nobody: until `go`, when all that waited is done. */
    hang: () => {
      waiting ??= [];
    },
    go: () => {
      const all = waiting ?? [];
      waiting = null;
      for (const act of all) act();
    },
    fault: (pathEnd: string, status: number, message: string) => faults.set(pathEnd, { status, message }),
    heal: () => faults.clear(),
    /** The Engine starts anew, as at a boot. */
    reboot: () => {
      for (const one of containers) one.boot();
    },
    close: async () => {
      for (const one of containers) if (one.state.Running) one.spec.restart = 'no';
      for (const one of [...containers]) one.exit(0);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(socketPath, { force: true });
    },
  };
};

export type StubEngine = Awaited<ReturnType<typeof startEngine>>;
