/** The lines of a task's log as they are written: from its file on this host, or from the API where that cannot be read. */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, sleep } from '#shared/clock';
import type { Proxmox } from './proxmox.ts';
import { parseUpid } from './upid.ts';

export interface LogFollower {
  /** Reads what is there by now, to the last byte, and ends. Rejects when it cannot be read; may then be called again. */
  finish(): Promise<void>;
  /** Ends without reading on. */
  stop(): void;
}

export interface TaskLog {
  /**
   * Hands every line to `onLine`, from the log's beginning, at most 200 ms after it was written. A last line without its
   * newline is held back until `finish`; over the API it cannot be told apart, and is given again when it has grown.
   */
  follow(upid: string, onLine: (line: string) => void): LogFollower;
}

export interface TaskLogOptions {
  /** `/var/log/pve/tasks` */
  directory: string;
  proxmox: Pick<Proxmox, 'taskLog'>;
  clock: Clock;
}

/** Each read goes on where the last one ended and hands over what is new. */
interface Source {
  read(): Promise<void>;
  /** Also hands over a last line that has no newline. */
  readToEnd(): Promise<void>;
  close(): Promise<void>;
}

const FILE_POLL_MS = 50;
const API_POLL_MS = 125;
const API_BACK_OFF_MS = 2000;

export const createTaskLog = ({ directory, proxmox, clock }: TaskLogOptions): TaskLog => ({
  follow: (upid, onLine) => {
    const stopping = new AbortController();
    let source: Source | null = null;
    let pollMs = FILE_POLL_MS;

    const start = async (): Promise<Source> => {
      const path = parseUpid(upid)?.logFile;
      const handle = path === undefined ? null : await open(join(directory, path), 'r').catch(() => null);
      pollMs = handle ? FILE_POLL_MS : API_POLL_MS;
      return handle ? fileSource(handle, onLine) : apiSource(proxmox, upid, onLine);
    };
    const poll = async (): Promise<void> => {
      while (!stopping.signal.aborted) {
        source ??= await start();
        const waitMs = await source.read().then(
          () => pollMs,
          () => API_BACK_OFF_MS,
        );
        await sleep(clock, waitMs, stopping.signal);
      }
    };
    const polling = poll();

    const end = async (): Promise<void> => {
      await polling;
      await source?.close().catch(() => {});
    };
    return {
      finish: async () => {
        stopping.abort();
        await polling;
        source ??= await start();
        await source.readToEnd();
        await source.close();
      },
      stop: () => {
        stopping.abort();
        void end();
      },
    };
  },
});

const CHUNK_BYTES = 64 * 1024;
/** Longer than any line of vzdump; a longer one is handed over in pieces. */
const LINE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

const fileSource = (handle: FileHandle, onLine: (line: string) => void): Source => {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let position = 0;
  let rest = Buffer.alloc(0);

  const read = async (): Promise<void> => {
    for (;;) {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
        onLine(rest.toString('utf8', 0, end));
        rest = rest.subarray(end + 1);
      }
      if (rest.length >= LINE_BYTES) giveRest();
    }
  };
  const giveRest = () => {
    if (rest.length > 0) onLine(rest.toString('utf8'));
    rest = Buffer.alloc(0);
  };

  return {
    read,
    readToEnd: async () => {
      await read();
      giveRest();
    },
    close: () => handle.close(),
  };
};

const apiSource = (proxmox: Pick<Proxmox, 'taskLog'>, upid: string, onLine: (line: string) => void): Source => {
  let count = 0;
  let last: string | null = null;

  /** The last line seen is read again: it may have been half written. Answers whether there was anything new. */
  const readOnce = async (): Promise<boolean> => {
    const from = last === null ? count : count - 1;
    const lines = await proxmox.taskLog(upid, from);
    const fresh = last !== null && lines[0] === last ? lines.slice(1) : lines;
    if (fresh.length === 0) return false;
    for (const line of fresh) onLine(line);
    count = from + lines.length;
    last = fresh.at(-1) ?? last;
    return true;
  };
  const read = async (): Promise<void> => {
    while (await readOnce());
  };
  return { read, readToEnd: read, close: async () => {} };
};
