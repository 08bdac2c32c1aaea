/** An archive's bytes as they were before compression, by the host's own programs: those that would restore it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CheckEnded, damaged } from './finding.ts';

/** As Proxmox decompresses (pve-storage PVE/Storage.pm, decompressor_info). */
const PROGRAMS = {
  zst: { path: '/usr/bin/zstd', args: ['-dcq'] },
  gz: { path: '/usr/bin/gzip', args: ['-dc'] },
  lzo: { path: '/usr/bin/lzop', args: ['-dc'] },
} as const;
export type Compression = keyof typeof PROGRAMS;

const MAX_WORDS = 2000;

/** A drive or a network that fails says nothing about the archive. */
const unreadable = (detail: string) => new CheckEnded('unreadable', 'The archive could not be read.', detail);

/** Any other failure to start one passes: too many processes, too little memory. */
const notStarted = (path: string, error: unknown) =>
  error instanceof Error && 'code' in error && error.code === 'ENOENT' ? missing(path, error) : unreadable(`${path}: ${error}`);

const missing = (path: string, error: unknown) =>
  new CheckEnded('unsupported', 'The program that decompresses this archive is not installed on the host.', `${path}: ${error}`);

/** The file as it stands. */
export async function* fileData(file: Readable, onRead: (bytes: number) => void): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of file as AsyncIterable<Buffer>) {
      onRead(chunk.length);
      yield chunk;
    }
  } catch (error) {
    throw unreadable(String(error));
  }
}

/** Ends with an error unless the program ends well: it alone knows the checksums, and what follows the compressed data. */
export async function* decompressed(data: AsyncIterable<Buffer>, how: Compression): AsyncGenerator<Buffer> {
  const { path, args } = PROGRAMS[how];
  const child = spawn(path, args, { cwd: '/', env: { LC_ALL: 'C' }, stdio: ['pipe', 'pipe', 'pipe'] });
  let words = '';
  child.stderr.on('data', (text: Buffer) => {
    words = (words + text.toString()).slice(0, MAX_WORDS);
  });
  const ended = (once(child, 'close') as Promise<[number | null, string | null]>).catch((error: unknown) =>
    notStarted(path, error),
  );
  // A program that gives up early closes its end: its exit status tells why.
  const fed = pipeline(data, child.stdin).catch((error: unknown) => (error instanceof CheckEnded ? error : undefined));
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) yield chunk;
    const [readError, end] = await Promise.all([fed, ended]);
    if (end instanceof CheckEnded) throw end;
    if (readError !== undefined) throw readError;
    const [status, signal] = end;
    if (signal !== null) throw unreadable(`${path} was ended by ${signal}`);
    if (status !== 0)
      throw damaged('The compressed data is damaged, breaks off, or is followed by something else.', words.trim());
  } finally {
    child.kill('SIGKILL');
  }
}
