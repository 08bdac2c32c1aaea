/** Reads requests from a byte stream with pveproxy's limits (PVE/APIServer/AnyEvent.pm). */

import type { Reply, Request } from './message.ts';

const MAX_HEAD_BYTES = 8 * 1024;
const MAX_BODY_BYTES = 512 * 1024;
/** Uploads of images are not held to the limit above; the simulator holds them in memory. */
const MAX_UPLOAD_BYTES = 64 * 1024 * 1024;

const METHODS = ['GET', 'POST', 'PUT', 'DELETE'];
const BODY_TYPES = ['', 'application/x-www-form-urlencoded', 'application/json'];

export type Head = Omit<Request, 'body'> & { bodyBytes: number };

export const isUpload = (head: Head): boolean =>
  head.method === 'POST' &&
  /\/upload$/.test(head.target) &&
  (head.headers['content-type'] ?? '').startsWith('multipart/form-data');

const plain = (status: number, text: string): Reply => ({ status, reason: text, body: text });

/** What is read so far: the head and where the body starts, the answer to a head that cannot be one, or nothing yet. */
export const parseHead = (bytes: Buffer): { head: Head; size: number } | { refuse: Reply } | undefined => {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return bytes.length > MAX_HEAD_BYTES ? { refuse: plain(400, 'bad request') } : undefined;
  const [requestLine = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const [, method = '', target = '', major, minor] = /^(\S+)\s+(\S+)\s+HTTP\/(\d+)\.(\d+)$/.exec(requestLine) ?? [];
  if (method === '') return { refuse: plain(400, 'bad request') };
  if (major !== '1') return { refuse: plain(506, 'http protocol version not supported') };
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const [, name, value] = /^([^:\s]+)\s*:\s*(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return { refuse: plain(506, 'unable to parse request header') };
    headers[name.toLowerCase()] = value.trim();
  }
  const head: Head = {
    method,
    target,
    version: minor === '0' ? '1.0' : '1.1',
    headers,
    bodyBytes: Number(headers['content-length'] ?? 0),
  };
  return { head, size: end + 4 };
};

/** Refused before anyone is authenticated. */
export const refuseEarly = (head: Head): Reply | undefined => {
  if (!METHODS.includes(head.method)) return { status: 501, reason: `method '${head.method}' not available` };
  if (/chunked/i.test(head.headers['transfer-encoding'] ?? '')) return plain(501, 'chunked transfer encoding not supported');
  return undefined;
};

/** Refused once the caller is known, before the body is read. */
export const refuseBody = (head: Head): Reply | undefined => {
  if (head.bodyBytes === 0) return undefined;
  if (head.method !== 'POST' && head.method !== 'PUT') return plain(501, `Unexpected content for method '${head.method}'`);
  if (isUpload(head)) return head.bodyBytes > MAX_UPLOAD_BYTES ? plain(501, 'for data too large') : undefined;
  const type = head.headers['content-type'] ?? '';
  if (!BODY_TYPES.includes(type.split(';')[0]?.trim() ?? '')) return plain(506, `upload 'Content-Type '${type}' not implemented`);
  return head.bodyBytes > MAX_BODY_BYTES ? plain(501, 'for data too large') : undefined;
};
