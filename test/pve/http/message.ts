/** Requests and answers as pveproxy reads and writes them. */

import { gzipSync } from 'node:zlib';

export interface Request {
  method: string;
  /** As sent, percent-encoded. */
  target: string;
  version: '1.0' | '1.1';
  /** Lower-case names. */
  headers: Record<string, string>;
  body: Buffer;
}

export interface Reply {
  status: number;
  reason?: string;
  headers?: Record<string, string>;
  contentType?: string;
  /** Nothing: neither a body nor a Content-Length, as in 401s and proxy errors. */
  body?: string;
  /** pveproxy passed it on from pvedaemon: a kept connection then carries both Connection headers. */
  relayed?: boolean;
  /** How long to wait before it is sent. */
  delayMs?: number;
}

/** Instead of an answer: the connection is reset, or never answered. */
export type Outcome = Reply | 'reset' | 'hang';

export const JSON_TYPE = 'application/json;charset=UTF-8';

const REASONS: Record<number, string> = { 200: 'OK', 301: 'Moved Permanently', 308: 'Permanent Redirect' };

/** Answers above this size are compressed when the client asks for it. */
const GZIP_ABOVE = 1024;

const body = (reply: Reply, acceptEncoding: string): { bytes: Buffer; encoding?: string } => {
  const bytes = Buffer.from(reply.body ?? '');
  return bytes.length > GZIP_ABOVE && /\bgzip\b/.test(acceptEncoding) ? { bytes: gzipSync(bytes), encoding: 'gzip' } : { bytes };
};

/** The whole answer. `keep`: the connection stays open. */
export const serialize = (reply: Reply, keep: boolean, nowMs: number, acceptEncoding: string): Buffer => {
  const reason = (reply.reason ?? REASONS[reply.status] ?? 'OK').split('\n')[0] ?? '';
  const date = new Date(nowMs).toUTCString();
  const { bytes, encoding } = body(reply, acceptEncoding);
  const lines = [
    `HTTP/1.1 ${reply.status} ${reason}`,
    'Cache-Control: max-age=0',
    ...(keep && reply.relayed ? ['Connection: close'] : []),
    `Connection: ${keep ? 'Keep-Alive' : 'close'}`,
    `Date: ${date}`,
    'Pragma: no-cache',
    'Server: pve-api-daemon/3.0',
    ...Object.entries(reply.headers ?? {}).map(([name, value]) => `${name}: ${value}`),
    ...(reply.body === undefined ? [] : [`Content-Length: ${bytes.length}`]),
    ...(encoding === undefined ? [] : [`Content-Encoding: ${encoding}`]),
    ...(reply.contentType === undefined ? [] : [`Content-Type: ${reply.contentType}`]),
    `Expires: ${date}`,
  ];
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), bytes]);
};
