/** Asks Docker what runs, over its socket: two kinds of GET and nothing else. Docker Engine API, "ContainerList", "ContainerInspect". */
import { request } from 'node:http';
import type { FoundContainer } from '../discover/findings.ts';

const TIMEOUT_MS = 10_000;
const MOST_BYTES = 16 * 1024 * 1024;

const get = (socketPath: string, path: string): Promise<unknown> =>
  new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, method: 'GET', timeout: TIMEOUT_MS, headers: { Host: 'docker' } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        text += part;
        if (text.length > MOST_BYTES) asked.destroy(new Error('its answer does not end'));
      });
      answer.on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode !== 200) reject(new Error(`it answered HTTP ${answer.statusCode}`));
        else {
          try {
            resolve(JSON.parse(text));
          } catch {
            reject(new Error('its answer is not JSON'));
          }
        }
      });
    });
    asked.on('timeout', () => asked.destroy(new Error(`it did not answer within ${TIMEOUT_MS / 1000} s`)));
    asked.on('error', reject);
    asked.end();
  });

interface Inspected {
  Id?: string;
  Name?: string;
  State?: { Paused?: boolean };
  Config?: { Image?: string; Labels?: Record<string, string> | null };
  HostConfig?: { AutoRemove?: boolean };
  Mounts?: { Type?: string; Source?: string; Destination?: string; RW?: boolean }[];
}

const container = (seen: Inspected): FoundContainer => ({
  id: seen.Id ?? '',
  name: (seen.Name ?? '').replace(/^\//, ''),
  image: seen.Config?.Image ?? '',
  autoRemove: seen.HostConfig?.AutoRemove === true,
  paused: seen.State?.Paused === true,
  labels: seen.Config?.Labels ?? {},
  mounts: (seen.Mounts ?? []).map(({ Type = '', Source = '', Destination = '', RW = true }) => ({
    type: Type,
    source: Source,
    destination: Destination,
    writable: RW,
  })),
});

/** Null: there is no such socket. A text: why it could not be asked. */
export const runningContainers = async (socketPath: string): Promise<FoundContainer[] | string | null> => {
  try {
    const list = (await get(socketPath, '/containers/json')) as { Id: string }[];
    const seen: FoundContainer[] = [];
    for (const { Id } of list)
      seen.push(container((await get(socketPath, `/containers/${encodeURIComponent(Id)}/json`)) as Inspected));
    return seen.sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    if (code === 'EACCES') return `this user may not ask ${socketPath}; run it as root`;
    return code === 'ECONNREFUSED' ? `nobody answers at ${socketPath}` : `${socketPath}: ${message}`;
  }
};
