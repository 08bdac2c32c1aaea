/** Sends requests over real connections and reads the whole answer. */

import { once } from 'node:events';
import { request } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface Got {
  status: number;
  reason: string;
  headers: Record<string, string>;
  body: string;
}

export interface Wanted {
  method: string;
  path: string;
  headers: Record<string, string>;
  body?: Buffer;
}

export const send = async (port: number, wanted: Wanted): Promise<Got> => {
  const sent = request({
    host: '127.0.0.1',
    port,
    method: wanted.method,
    path: wanted.path,
    headers: wanted.headers,
    rejectUnauthorized: false,
    agent: false,
  });
  sent.end(wanted.body);
  const [answer] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  const headers = Object.fromEntries(
    Object.entries(answer.headers as Record<string, unknown>).map(([key, value]) => [key, String(value)]),
  );
  return { status: answer.statusCode, reason: answer.statusMessage, headers, body: Buffer.concat(chunks).toString('utf8') };
};

/** Bytes in, bytes out, until the server closes. */
export const sendRaw = async (port: number, text: string, tls: boolean): Promise<string> => {
  const socket = tls
    ? connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false })
    : connectPlain({ host: '127.0.0.1', port });
  await once(socket, tls ? 'secureConnect' : 'connect');
  socket.write(text);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const quiet = setTimeout(() => socket.end(), 3_000);
  await once(socket, 'close');
  clearTimeout(quiet);
  return Buffer.concat(chunks).toString('utf8');
};

/** One answer of a byte stream, and what follows it. */
export const parseRaw = (text: string): Got => {
  const end = text.indexOf('\r\n\r\n');
  const [statusLine = '', ...lines] = text.slice(0, end < 0 ? undefined : end).split('\r\n');
  const [, status = '0', reason = ''] = /^HTTP\/1\.[01] (\d+) ?(.*)$/.exec(statusLine) ?? [];
  const headers = Object.fromEntries(
    lines.map((line) => [line.split(':')[0]?.toLowerCase() ?? '', line.slice(line.indexOf(':') + 2)]),
  );
  return { status: Number(status), reason, headers, body: end < 0 ? '' : text.slice(end + 4) };
};
