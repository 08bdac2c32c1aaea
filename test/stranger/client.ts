/**
 * A client of the guest API as a stranger would write it: from DESIGN.md section 1 alone, with nothing of felhom imported.
 * It judges answers as the clients in the field do.
 */
import { request } from 'node:https';
import type { TLSSocket } from 'node:tls';

export interface Address {
  host: string;
  port: number;
  /** SHA-256 of the leaf, 64 lower-case hex digits. */
  fingerprint: string;
  token?: string;
}

export interface Answer {
  status: number;
  /** As it came, for whoever looks at digits. */
  text: string;
  headers: Record<string, string | string[] | undefined>;
  // biome-ignore lint/suspicious/noExplicitAny: a stranger has no types
  json: any;
}

const LIMIT_BYTES = 1024 * 1024;
const GIVE_UP_MS = 15_000;

/** Number fields that a strictly typed client decodes into integers: `1500.0`, `1e3`, `"5"` and NaN break it. */
const INTEGER_KEYS = /"(\w*_bytes|vmid|\w*_seconds|cpu_temp_c|temperature_c|percentage_used)"\s*:\s*([^,}\]\s]+)/g;

const checkDigits = (text: string): void => {
  for (const [, key, value] of text.matchAll(INTEGER_KEYS)) {
    if (!/^(-?\d{1,16}|null)$/.test(value ?? '')) throw new Error(`${key} is not an integer: ${value}`);
  }
};

const checkEnvelope = (json: unknown): void => {
  const { ok, data, error, code } = json as Record<string, unknown>;
  if (typeof ok !== 'boolean' || data === undefined || typeof error !== 'string' || typeof code !== 'string') {
    throw new Error(`not the envelope: ${JSON.stringify(json).slice(0, 200)}`);
  }
  if (ok && (error !== '' || code !== '')) throw new Error('a success with an error');
  if (!ok && (error === '' || code === '')) throw new Error('a refusal without a sentence or a code');
};

/** One call on a connection of its own, so that the certificate is there to compare. */
export const call = (
  { host, port, fingerprint, token }: Address,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const sent = request({
      host,
      port,
      method,
      path,
      agent: false,
      rejectUnauthorized: false,
      headers: {
        ...(token ? { authorization: `Bearer ${token}` } : {}),
        ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
        ...headers,
      },
      timeout: GIVE_UP_MS,
    });
    sent.once('timeout', () => sent.destroy(new Error(`no answer within ${GIVE_UP_MS} ms`)));
    sent.once('error', reject);
    sent.once('socket', (socket) => {
      socket.once('secureConnect', () => {
        const shown = (socket as TLSSocket).getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase();
        if (shown !== fingerprint) return sent.destroy(new Error('not the pinned certificate'));
        sent.end(payload);
      });
    });
    sent.once('response', (response) => {
      const parts: Buffer[] = [];
      let size = 0;
      response.on('data', (part: Buffer) => {
        size += part.length;
        parts.push(part);
        if (size > LIMIT_BYTES) sent.destroy(new Error('the answer is larger than 1 MiB'));
      });
      response.once('end', () => {
        const text = Buffer.concat(parts).toString('utf8');
        try {
          const json = JSON.parse(text);
          if (!path.startsWith('/openapi.json') || response.statusCode !== 200) checkEnvelope(json);
          checkDigits(text);
          resolve({ status: response.statusCode ?? 0, text, headers: response.headers, json });
        } catch (error) {
          reject(error);
        }
      });
    });
  });

/** As field clients read a GET: anything but 200 is only its number; `ok:false` shows its sentence. */
// biome-ignore lint/suspicious/noExplicitAny: a stranger has no types
export const get = async (address: Address, path: string): Promise<any> => {
  const { status, json } = await call(address, 'GET', path);
  if (status !== 200) throw new Error(`HTTP ${status}`);
  if (!json.ok) throw new Error(json.error);
  return json.data;
};
