/** A Docker Engine by its API over a Unix socket (docs.docker.com/reference/api/engine, v1.41 and later). No driver. */
import { type IncomingMessage, request } from 'node:http';
import type { Clock } from '#shared/clock';
import { afterAwake } from '#shared/quiesce/awake';
import { plainText } from '#shared/quiesce/plain-text';
import { type Container, containerOf, type Inspected } from './docker-container.ts';

const QUICK_MS = 5000;
/** Mounting, networks and the program's own start are behind it. */
const START_MS = 60_000;
/** Beyond the time that the container itself has for its stop. */
const KILL_MS = 10_000;
const MOST_ANSWER_BYTES = 8 * 1024 ** 2;
/** What this file is written for; an Engine that no longer speaks it is asked in the oldest language that it does. */
const OWN_MINOR = 41;

interface Answer {
  status: number;
  body: unknown;
}

const WHY: Record<string, string> = {
  ENOENT: 'there is no such socket: is Docker running?',
  ECONNREFUSED: 'nobody listens there: is Docker running?',
  EACCES: 'this account may not use it',
};

const read = async (response: IncomingMessage): Promise<unknown> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MOST_ANSWER_BYTES) throw new Error('its answer is too long');
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString('utf8');
  return text === '' ? null : JSON.parse(text);
};

/** `1.47` → 47. */
const minorOf = (version: unknown): number | null => {
  const [, minor] = /^1\.(\d{1,4})$/.exec(String(version)) ?? [];
  return minor === undefined ? null : Number(minor);
};

/** What the Engine says of a failure: `{"message": …}`. */
const complaint = ({ status, body }: Answer): Error => {
  const message = (body as { message?: unknown } | null)?.message;
  return new Error(plainText(`Docker refused it (${status}): ${typeof message === 'string' ? message : 'without a word'}`));
};

/** Each call on a connection of its own, ended in time: an Engine may hang, and a guest may stand still. */
const caller =
  (socketPath: string, clock: Clock) =>
  (method: 'GET' | 'POST', path: string, timeoutMs: number = QUICK_MS): Promise<Answer> =>
    new Promise((resolve, reject) => {
      let late = false;
      const fail = (error: Error & { code?: string }) => {
        cancel();
        const why = late ? `no answer within ${timeoutMs / 1000} s` : (WHY[error.code ?? ''] ?? plainText(error.message));
        reject(new Error(`Docker at ${socketPath} could not be asked: ${why}`));
      };
      const asking = request({ socketPath, path, method, agent: false, headers: { host: 'docker' } }, (response) => {
        read(response)
          .then((body) => {
            cancel();
            resolve({ status: response.statusCode ?? 0, body });
          })
          .catch((error: Error) => {
            asking.destroy();
            fail(error);
          });
      });
      const cancel = afterAwake(clock, timeoutMs, () => {
        late = true;
        asking.destroy(new Error('late'));
      });
      asking.on('error', fail);
      asking.end();
    });

export interface Engine {
  /** By id or by its whole name; null: there is none. */
  inspect(ref: string, withinMs?: number): Promise<Container | null>;
  /** All containers of a service of docker compose, running or not, without those of `compose run`. */
  service(project: string, service: string, withinMs?: number): Promise<Container[]>;
  /** Returns when it has ended; it may take as long as its own stop time-out says, which is never made shorter. */
  stop(container: Container): Promise<void>;
  start(id: string): Promise<void>;
  pause(id: string): Promise<void>;
  unpause(id: string): Promise<void>;
  /** Where containers, their layers and volumes lie if they do not say so themselves. */
  roots(): Promise<string[]>;
}

/** @returns nothing is asked yet */
export const dockerEngine = (socketPath: string, clock: Clock): Engine => {
  const call = caller(socketPath, clock);

  let prefix: Promise<string> | null = null;
  const negotiate = async (): Promise<string> => {
    const answer = await call('GET', '/version');
    if (answer.status !== 200) throw complaint(answer);
    const { ApiVersion, MinAPIVersion } = (answer.body ?? {}) as { ApiVersion?: unknown; MinAPIVersion?: unknown };
    const most = minorOf(ApiVersion);
    if (most === null) throw new Error(`What answers at ${socketPath} is no Docker Engine.`);
    return `/v1.${Math.max(minorOf(MinAPIVersion) ?? 0, Math.min(most, OWN_MINOR))}`;
  };
  /** @param fine the statuses that are as good as done; 404 is for the caller to judge */
  const ask = async (method: 'GET' | 'POST', path: string, fine: number[], withinMs?: number): Promise<Answer> => {
    prefix ??= negotiate().catch((error: unknown) => {
      prefix = null;
      throw error;
    });
    const answer = await call(method, (await prefix) + path, withinMs);
    if (!fine.includes(answer.status)) throw complaint(answer);
    return answer;
  };
  const at = (ref: string, verb: string) => `/containers/${encodeURIComponent(ref)}/${verb}`;
  const post = async (ref: string, verb: string, withinMs?: number): Promise<void> => {
    // 304: it was so already.
    await ask('POST', at(ref, verb), [204, 304], withinMs);
  };

  const inspect = async (ref: string, withinMs?: number): Promise<Container | null> => {
    const answer = await ask('GET', at(ref, 'json'), [200, 404], withinMs);
    if (answer.status === 404) return null;
    const container = containerOf(answer.body as Inspected);
    // The Engine also takes the beginning of an id for a name.
    return container.id === ref || container.name === ref ? container : null;
  };

  const service = async (project: string, name: string, withinMs?: number): Promise<Container[]> => {
    const label = [`com.docker.compose.project=${project}`, `com.docker.compose.service=${name}`];
    const filters = encodeURIComponent(JSON.stringify({ label }));
    const answer = await ask('GET', `/containers/json?all=true&filters=${filters}`, [200], withinMs);
    const found = await Promise.all((answer.body as { Id: string }[]).map(({ Id }) => inspect(Id, withinMs)));
    return found
      .filter((one) => one !== null)
      .filter(({ labels }) => labels['com.docker.compose.oneoff'] !== 'True')
      .sort((one, other) => one.name.localeCompare(other.name, 'en', { numeric: true }));
  };

  const roots = async (): Promise<string[]> => {
    const { DockerRootDir, DriverStatus } = (await ask('GET', '/info', [200])).body as {
      DockerRootDir?: string;
      DriverStatus?: [string, string][] | null;
    };
    // containerd's image store keeps the layers under its own root, which the Engine does not tell; this is the usual one.
    const snapshotter = DriverStatus?.some(([, value]) => value?.startsWith('io.containerd.snapshotter'));
    return [...(DockerRootDir ? [DockerRootDir] : []), ...(snapshotter ? ['/var/lib/containerd'] : [])];
  };

  return {
    inspect,
    service,
    // Without `t` the container has the time that it was made with; more haste would be a SIGKILL.
    stop: (container) => post(container.id, 'stop', container.stopMs + KILL_MS),
    start: (id) => post(id, 'start', START_MS),
    pause: (id) => post(id, 'pause'),
    unpause: (id) => post(id, 'unpause'),
    roots,
  };
};
