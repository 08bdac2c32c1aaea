/**
 * The archive file: a real tar of the cut, compressed as asked, written as `.dat` until it is whole, and its side files.
 * A VM's archive has the name of a VMA but is a tar too, with a directory for each disk.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { CutTree } from './cut.ts';
import { zstdFrames } from './zstd.ts';

export type Compression = 'none' | 'gzip' | 'zstd';

/** Left out of a container's archive by default (PVE/VZDump.pm, `stdexcludes`). */
const EXCLUDED = ['./tmp/?*', './var/tmp/?*', './var/run/?*.pid'];

export interface ArchiveSpec {
  /** Where the data is written; the caller renames it. */
  dat: string;
  compression: Compression;
  trees: readonly CutTree[];
  /** The guest's configuration as it stands in the archive: name and text. */
  meta: Readonly<Record<string, string>>;
  /** A container's: temporary files stay out. */
  excludes: boolean;
}

const tarArguments = (spec: ArchiveSpec, metaDir: string): string[] => [
  ...['cpf', '-', '--sparse', '--numeric-owner', '--one-file-system', '--warning=no-file-ignored'],
  ...[`--directory=${metaDir}`, ...Object.keys(spec.meta)],
  ...(spec.excludes && spec.trees.length > 0 ? ['--anchored', ...EXCLUDED.map((e) => `--exclude=${e}`)] : []),
  ...spec.trees.flatMap((t) => [`--directory=${t.root}`, `.${t.at}`]),
];

const counter = (count: (bytes: number) => void): Transform =>
  new Transform({
    transform(chunk: Buffer, _encoding, done) {
      count(chunk.length);
      done(null, chunk);
    },
  });

const compressor = async (how: Compression): Promise<Transform> => {
  if (how === 'zstd') return zstdFrames();
  return how === 'gzip' ? createGzip() : new PassThrough();
};

const writeMeta = async (meta: Readonly<Record<string, string>>): Promise<string> => {
  const directory = await mkdtemp(join(tmpdir(), 'felhom-vzdump-'));
  for (const [name, text] of Object.entries(meta)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  return directory;
};

/** Bytes of the tar before compression. An abort kills tar and leaves `.dat` as it is. */
export const writeArchive = async (spec: ArchiveSpec, signal: AbortSignal): Promise<number> => {
  const metaDir = await writeMeta(spec.meta);
  try {
    let bytes = 0;
    // Before tar starts: nothing may be awaited while nobody listens to it.
    const compress = await compressor(spec.compression);
    const tar = spawn('tar', tarArguments(spec, metaDir), { stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' });
    let complaints = '';
    tar.stderr.on('data', (text: Buffer) => {
      complaints += text.toString();
    });
    const exited = once(tar, 'close') as Promise<[code: number | null]>;
    const count = counter((n) => {
      bytes += n;
    });
    const written = pipeline(tar.stdout, count, compress, createWriteStream(spec.dat), { signal });
    const [[code]] = await Promise.all([exited, written]);
    if (code !== 0)
      throw new Error(
        `command 'tar ${tarArguments(spec, metaDir).join(' ')}' failed: exit code ${code} ${complaints.replaceAll('\n', ' ').trim()}`,
      );
    return bytes;
  } finally {
    await rm(metaDir, { recursive: true, force: true });
  }
};

/** The files beside an archive; removing one removes them all. */
export const sideFiles = (archive: string) => ({
  notes: `${archive}.notes`,
  protected: `${archive}.protected`,
  log: archive.replace(/\.(tar|vma)(\.[a-z]+)?$/, '.log'),
});

export const removeArchiveFiles = async (archive: string): Promise<void> => {
  const { notes, log, protected: marker } = sideFiles(archive);
  await Promise.all([archive, notes, log, marker].map((file) => rm(file, { force: true })));
};
