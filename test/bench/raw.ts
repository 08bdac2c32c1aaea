/** HTTP over raw TLS sockets, as cheap as it gets: whoever asks must not be what is measured. */
import { connect, createSecureContext, type TLSSocket } from 'node:tls';

// Shared: making one costs more than a handshake. No session is ever given to it, so none is resumed.
const secureContext = createSecureContext();

export const open = (port: number): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, secureContext, rejectUnauthorized: false }, () => resolve(socket));
    socket.setNoDelay(true);
    socket.once('error', reject);
  });

/** Length of the answer at the front, 0 while its head is not complete; throws when it is not a 200. */
const answerLength = (bytes: Buffer): number => {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return 0;
  const head = bytes.toString('latin1', 0, end);
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`the server answered: ${head.slice(0, head.indexOf('\r\n'))}`);
  const [, length] = /\r\ncontent-length: (\d+)/i.exec(head) ?? [];
  if (length === undefined) throw new Error('the server answered without Content-Length');
  return end + 4 + Number(length);
};

/** Calls for each whole answer, with its bytes. */
export const onAnswer = (socket: TLSSocket, answered: (bytes: Buffer) => void, failed: (error: Error) => void): void => {
  let rest: Buffer | null = null;
  const take = (chunk: Buffer): void => {
    const bytes: Buffer = rest === null ? chunk : Buffer.concat([rest, chunk]);
    const length = answerLength(bytes);
    rest = length > 0 && length <= bytes.length ? null : bytes;
    if (rest === null) answered(bytes);
  };
  socket.on('data', (chunk: Buffer) => {
    try {
      take(chunk);
    } catch (error) {
      failed(error as Error);
    }
  });
};
