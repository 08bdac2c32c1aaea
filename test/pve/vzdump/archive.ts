/**
 * The archive file: a real tar of the cut, or a real VMA, compressed as asked, written as `.dat` until it is whole, and its side
 * files. Each volume that the guest's configuration includes and `guest.directories` names by its key comes in with what its
 * directory held at the cut. A container's lie in one tar, each where it is mounted: `rootfs` at `./`, `mp0` with `mp=/srv/data`
 * at `./srv/data/`. A VM's disk `scsi1` is the VMA's disk `drive-scsi1`, whose bytes are a tar of the directory that stands for it.
 */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PassThrough, Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { CutTree } from './cut.ts';
import { type VmaDisk, vmaOf } from './vma.ts';
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
  type: 'lxc' | 'qemu';
}

/** A container's: temporary files stay out. */
const tarArguments = (spec: ArchiveSpec, metaDir: string): string[] => [
  ...['cpf', '-', '--sparse', '--numeric-owner', '--one-file-system', '--warning=no-file-ignored'],
  ...[`--directory=${metaDir}`, ...Object.keys(spec.meta)],
  ...(spec.trees.length > 0 ? ['--anchored', ...EXCLUDED.map((e) => `--exclude=${e}`)] : []),
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

const writeMeta = async (meta: Readonly<Record<string, string>>, directory: string): Promise<void> => {
  for (const [name, text] of Object.entries(meta)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), text);
  }
};

interface Source {
  stream: Readable;
  /** Rejects unless whatever makes the stream ends well. */
  done: Promise<void>;
}

const runTar = (args: readonly string[], signal: AbortSignal): Source => {
  const tar = spawn('tar', args, { stdio: ['ignore', 'pipe', 'pipe'], signal, killSignal: 'SIGKILL' });
  let complaints = '';
  tar.stderr.on('data', (text: Buffer) => {
    complaints += text.toString();
  });
  const done = (once(tar, 'close') as Promise<[code: number | null]>).then(([code]) => {
    const why = `exit code ${code} ${complaints.replaceAll('\n', ' ').trim()}`;
    if (code !== 0) throw new Error(`command 'tar ${args.join(' ')}' failed: ${why}`);
  });
  return { stream: tar.stdout, done };
};

const containerSource = async (spec: ArchiveSpec, directory: string, signal: AbortSignal): Promise<Source> => {
  await writeMeta(spec.meta, directory);
  return runTar(tarArguments(spec, directory), signal);
};

/** A disk's size is in a VMA's header, so its content is made first. */
const machineSource = async (spec: ArchiveSpec, directory: string, signal: AbortSignal): Promise<Source> => {
  const disks: VmaDisk[] = [];
  for (const { root, at } of spec.trees) {
    const image = join(directory, `disk${disks.length}`);
    const { stream, done } = runTar(['cpf', '-', '--numeric-owner', `--directory=${join(root, at)}`, '.'], signal);
    await Promise.all([done, pipeline(stream, createWriteStream(image), { signal })]);
    disks.push({ name: `drive-${at.slice(1)}`, image });
  }
  return { stream: Readable.from(vmaOf({ configs: spec.meta, disks })), done: Promise.resolve() };
};

/** Bytes of the archive before compression. An abort kills tar and leaves `.dat` as it is. */
export const writeArchive = async (spec: ArchiveSpec, signal: AbortSignal): Promise<number> => {
  const directory = await mkdtemp(join(tmpdir(), 'felhom-vzdump-'));
  try {
    let bytes = 0;
    // Before tar starts: nothing may be awaited while nobody listens to it.
    const compress = await compressor(spec.compression);
    const source = await (spec.type === 'lxc' ? containerSource : machineSource)(spec, directory, signal);
    const count = counter((n) => {
      bytes += n;
    });
    const written = pipeline(source.stream, count, compress, createWriteStream(spec.dat), { signal });
    await Promise.all([source.done, written]);
    return bytes;
  } finally {
    await rm(directory, { recursive: true, force: true });
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
