/** Asks the agent in the machine, and waits for as long as an emulated machine takes. */
import { request as plain } from 'node:http';
import { request as secure } from 'node:https';
import type { TLSSocket } from 'node:tls';

const PATIENCE_MS = 300_000;

export interface Reply {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: the tests read what they need
  json: any;
}

export interface Call {
  method: string;
  path: string;
  body?: object | undefined;
}

const replyTo = (sent: ReturnType<typeof plain>, { body }: Call): Promise<Reply> =>
  new Promise((resolve, reject) => {
    sent.once('timeout', () => sent.destroy(new Error('no answer')));
    sent.once('error', reject);
    sent.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.once('error', reject);
      response.once('end', () => resolve({ status: response.statusCode ?? 0, json: JSON.parse(text) }));
    });
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });

const shape = ({ method, path, body }: Call) => ({
  ...{ method, path, timeout: PATIENCE_MS, agent: false },
  headers: body === undefined ? {} : { 'content-type': 'application/json' },
});

/** Over the root-only socket. @returns what it answers; rejects with its sentence */
export const askRoot = async (socketPath: string, call: Call) => {
  const { json } = await replyTo(plain({ socketPath, ...shape(call) }), call);
  if (!json.ok) throw new Error(json.error);
  return json.data;
};

export interface Guest {
  port: number;
  token: string;
  /** Of the leaf that the guest pins. */
  fingerprint: string;
}

/** As a guest. */
export const askAs = ({ port, token, fingerprint }: Guest, call: Call): Promise<Reply> => {
  const { headers, ...rest } = shape(call);
  const sent = secure({
    ...{ host: '127.0.0.1', port, rejectUnauthorized: false, ...rest },
    headers: { ...headers, authorization: `Bearer ${token}` },
  });
  sent.once('socket', (socket) =>
    socket.once('secureConnect', () => {
      const shown = (socket as TLSSocket).getPeerCertificate().fingerprint256?.replaceAll(':', '').toLowerCase();
      if (shown !== fingerprint) sent.destroy(new Error('not the pinned certificate'));
    }),
  );
  return replyTo(sent, call);
};
