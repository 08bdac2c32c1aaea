/** `felhom-quiesced status`: asks the one that serves, and says it in lines. */
import { connect } from 'node:net';
import type { Answer, QuiescedStatus } from '#shared/quiesce/protocol';

const ANSWER_MS = 10_000;

const ask = (path: string): Promise<QuiescedStatus> =>
  new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('it does not answer')));
    socket.once('error', reject);
    socket.once('connect', () => socket.write('{"id":1,"verb":"status"}\n'));
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('utf8');
      if (!text.includes('\n')) return;
      socket.destroy();
      const answer = JSON.parse(text) as Answer<'status'>;
      if (answer.ok) resolve(answer.data);
      else reject(new Error(answer.error));
    });
    socket.once('end', () => reject(new Error('it ended the connection')));
  });

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

export const statusText = ({ version, config_error, apps, lease, not_back }: QuiescedStatus): string =>
  [
    `felhom-quiesced ${version}`,
    ...(config_error === ''
      ? [`applications: ${apps.map(({ name }) => name).join(', ') || 'none'}`]
      : [`cannot be used: ${config_error}`]),
    lease === null ? 'nothing is held' : `held for ${seconds(lease.left_ms)} more at most: ${lease.apps.join(', ')}`,
    ...not_back.map(
      ({ app, error, since_ms }) => `not back for ${seconds(since_ms)}: ${app}${error === '' ? '' : ` (${error})`}`,
    ),
    '',
  ].join('\n');

export const askStatus = async (path: string): Promise<string> => {
  try {
    return statusText(await ask(path));
  } catch (error) {
    throw new Error(`felhom-quiesced cannot be asked at ${path}: ${(error as Error).message}`);
  }
};
