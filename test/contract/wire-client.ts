/** Bytes over TLS, as they are: for requests that no honest client sends. */
import { connect, type TLSSocket } from 'node:tls';

export interface WireAnswer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** Reads one HTTP/1.1 answer with a Content-Length off the front; null while it is not complete. HEAD's has no body. */
const takeAnswer = (bytes: Buffer, method: string): { answer: WireAnswer; rest: Buffer } | null => {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return null;
  const [statusLine = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const length = method === 'HEAD' ? 0 : Number(headers.get('content-length') ?? 0);
  if (bytes.length < end + 4 + length) return null;
  return {
    answer: {
      status: Number(statusLine.split(' ')[1]),
      headers,
      body: bytes.subarray(end + 4, end + 4 + length).toString('utf8'),
    },
    rest: bytes.subarray(end + 4 + length),
  };
};

/** A connection that is opened anew when the server has closed it. */
export const createWire = (host: string, port: number) => {
  let socket: TLSSocket | null = null;
  let received = Buffer.alloc(0);
  let wake = () => {};

  const open = (): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      received = Buffer.alloc(0);
      const opened = connect({ host, port, rejectUnauthorized: false });
      opened.once('secureConnect', () => resolve(opened));
      opened.once('error', reject);
      opened.on('error', () => {});
      opened.on('data', (part: Buffer) => {
        received = Buffer.concat([received, part]);
        wake();
      });
      opened.on('close', () => {
        if (socket === opened) socket = null;
        wake();
      });
      socket = opened;
    });

  /** Sends the bytes; answers what came back, or null when the server closed the connection (or said nothing for `patienceMs`). */
  const send = async (bytes: Buffer | string, method: string, patienceMs: number): Promise<WireAnswer | null> => {
    const used = socket ?? (await open());
    used.write(bytes);
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const taken = takeAnswer(received, method);
      if (taken) {
        received = Buffer.from(taken.rest);
        if (taken.answer.headers.get('connection') === 'close') close();
        return taken.answer;
      }
      if (socket !== used || Date.now() > deadline) {
        close();
        return null;
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.max(1, deadline - Date.now()));
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  };

  const close = () => {
    socket?.destroy();
    socket = null;
  };

  return { send, close };
};
