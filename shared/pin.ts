/** Pinning: a TLS connection whose leaf certificate is compared before anybody may write to it. */
// biome-ignore lint/style/noRestrictedImports: types only; the caller hands in the function that connects
import type { ConnectionOptions, TLSSocket } from 'node:tls';

/** `AA:BB:…` or plain hex of any case as 64 lower-case hex digits; null when it is not a SHA-256. */
export const normalizeFingerprint = (text: string): string | null => {
  const hex = text.replaceAll(':', '').toLowerCase();
  return /^[0-9a-f]{64}$/.test(hex) ? hex : null;
};

export class PinMismatch extends Error {
  override readonly name = 'PinMismatch';
  /** What the peer showed; null when it showed none. Goes to the log, never into a decision to trust it. */
  readonly shown: string | null;

  constructor(shown: string | null) {
    super('The server showed a certificate that is not the pinned one.');
    this.shown = shown;
  }
}

export interface PinnedTarget {
  host: string;
  port: number;
  /** 64 lower-case hex digits each; any of them will do. */
  fingerprints: readonly string[];
  timeoutMs: number;
}

/**
 * Connects and gives the socket out only once the leaf's SHA-256 is one of the pins. Certificate authorities are not asked:
 * the pin is the trust. A resumed session shows no certificate (Node's tls), so no session is ever reused and an absent
 * certificate is a mismatch.
 * @param connect `tls.connect`
 */
export const connectPinned = (
  connect: (options: ConnectionOptions) => TLSSocket,
  { host, port, fingerprints, timeoutMs }: PinnedTarget,
): Promise<TLSSocket> =>
  new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] });
    const settle = (act: () => void) => {
      clearTimeout(timer);
      socket.off('error', failed);
      socket.off('close', closed);
      act();
    };
    const failed = (error: Error) =>
      settle(() => {
        socket.destroy();
        reject(error);
      });
    const closed = () => failed(new Error('the server closed the connection during the TLS handshake'));
    const timer = setTimeout(() => failed(new Error(`no TLS connection within ${timeoutMs} ms`)), timeoutMs);
    socket.on('error', failed);
    socket.on('close', closed);
    socket.once('secureConnect', () => {
      const shown = normalizeFingerprint(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
      if (socket.isSessionReused() || shown === null || !fingerprints.includes(shown)) failed(new PinMismatch(shown));
      else settle(() => resolve(socket));
    });
  });
