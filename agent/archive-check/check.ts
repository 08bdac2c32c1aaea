/** Reads one archive from its first byte to its last, as a restore would, and writes nothing. */
import { open } from 'node:fs/promises';
import { type Bytes, bytesOf } from './bytes.ts';
import { type Compression, decompressed, fileData } from './decompress.ts';
import { CheckEnded, type Finding } from './finding.ts';
import { readTar } from './tar.ts';
import { readVma } from './vma.ts';

interface Format {
  compression: Compression | null;
  read: (bytes: Bytes) => Promise<number>;
}

/** Every format that vzdump writes to a file (pve-storage Plugin.pm, BACKUP_EXT). */
const FORMATS: Readonly<Record<string, Format>> = {
  tar: { compression: null, read: readTar },
  'tar.zst': { compression: 'zst', read: readTar },
  'tar.gz': { compression: 'gz', read: readTar },
  tgz: { compression: 'gz', read: readTar },
  'tar.lzo': { compression: 'lzo', read: readTar },
  vma: { compression: null, read: readVma },
  'vma.zst': { compression: 'zst', read: readVma },
  'vma.gz': { compression: 'gz', read: readVma },
  'vma.lzo': { compression: 'lzo', read: readVma },
};

const READ_BYTES = 1 << 20;

const openFile = async (path: string) => {
  const handle = await open(path, 'r').catch((error: unknown) => {
    throw new CheckEnded('unreadable', 'The archive could not be opened.', String(error));
  });
  if ((await handle.stat()).isFile()) return handle;
  await handle.close();
  throw new CheckEnded('unreadable', 'The archive is not a file.', path);
};

const endedBy = (error: unknown): Pick<Finding, 'verdict' | 'error' | 'detail'> => {
  if (error instanceof CheckEnded) return { verdict: error.verdict, error: error.message, detail: error.detail };
  return { verdict: 'unreadable', error: 'The check could not be carried out.', detail: String(error) };
};

/** Never rejects. `onRead` is told the size of each piece that was read from the file. */
export const checkArchive = async (
  path: string,
  format: string,
  onRead: (bytes: number) => void = () => {},
): Promise<Finding> => {
  let bytes: Bytes | null = null;
  const data = (): number => bytes?.position() ?? 0;
  try {
    const known = FORMATS[format];
    if (known === undefined) throw new CheckEnded('unsupported', 'Archives of this kind cannot be checked.', format);
    const file = (await openFile(path)).createReadStream({ highWaterMark: READ_BYTES });
    const raw = fileData(file, onRead);
    const source = known.compression === null ? raw : decompressed(raw, known.compression);
    try {
      bytes = bytesOf(source);
      const members = await known.read(bytes);
      return { verdict: 'whole', error: '', detail: '', members, bytes: data() };
    } finally {
      await source.return(undefined);
      file.destroy();
    }
  } catch (error) {
    return { ...endedBy(error), members: 0, bytes: data() };
  }
};
