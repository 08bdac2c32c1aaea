/** QEMU's own control channel: one JSON document a line. QEMU Machine Protocol, docs/interop/qmp-spec. */
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

export type Qmp = (execute: string, args?: Record<string, unknown>) => Promise<unknown>;

const opened = (path: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(path, () => resolve(socket));
    socket.once('error', reject);
  });

/** A connection a command: QEMU takes one at a time. */
export const qmpAt =
  (path: string): Qmp =>
  async (execute, args = {}) => {
    const socket = await opened(path);
    try {
      const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
      const answer = async (): Promise<unknown> => {
        for (;;) {
          const { value, done } = await lines.next();
          if (done) throw new Error(`QEMU closed its socket at ${execute}`);
          const message = JSON.parse(value) as { return?: unknown; error?: { desc: string } };
          if (message.error) throw new Error(`${execute}: ${message.error.desc}`);
          if ('return' in message) return message.return;
        }
      };
      for (const command of [{ execute: 'qmp_capabilities' }, { execute, arguments: args }]) {
        socket.write(`${JSON.stringify(command)}\n`);
        if (command.execute === execute) return await answer();
        await answer();
      }
      return undefined;
    } finally {
      socket.destroy();
    }
  };
