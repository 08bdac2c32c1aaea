/** The file with the operator's key: the operator's own, and nobody else's to read. */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, unlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { OpsignFailed } from './failed.ts';
import { type ClosedKey, closedKeyIn } from './keys.ts';
import { shown } from './words.ts';

/** Keys are 500 bytes. */
const FILE_BYTES = 16_384;
const OTHERS = 0o077;
const MODE_BITS = 0o7777;

export const defaultKeyFile = (): string => join(homedir(), '.config/felhom/opsign.key');

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown error';

const cannotRead = (path: string, cause: unknown): OpsignFailed =>
  codeOf(cause) === 'ENOENT'
    ? new OpsignFailed(`There is no key ${shown(path)}. Name it with -key, or make one with "felhom-opsign keygen".`, { cause })
    : new OpsignFailed(`The key ${shown(path)} cannot be read (${codeOf(cause)}).`, { cause });

/** Throws `OpsignFailed`. */
const refuseShared = async (file: FileHandle, path: string): Promise<void> => {
  const { mode, uid, size, isFile } = await file.stat().then((info) => ({ ...info, isFile: info.isFile() }));
  if (!isFile || size > FILE_BYTES) throw new OpsignFailed(`${shown(path)} is not a file that keygen made.`);
  if (uid !== process.geteuid?.())
    throw new OpsignFailed(`${shown(path)} belongs to another account, which can read it. Use your own copy of the key.`);
  if ((mode & OTHERS) !== 0)
    throw new OpsignFailed(
      `Other accounts may read or change ${shown(path)} (mode ${(mode & MODE_BITS).toString(8)}). If that was so for long, make a new ` +
        'key and retire this one; otherwise "chmod 600" it.',
    );
};

const contents = async (path: string): Promise<string> => {
  // Not blocking: a pipe by that name would wait for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  try {
    await refuseShared(file, path);
    return await file.readFile('utf8');
  } finally {
    await file.close();
  }
};

/** Reads and judges the file, without its passphrase. Rejects (`OpsignFailed`). */
export const readKeyFile = async (path: string): Promise<ClosedKey> => closedKeyIn(await contents(path), shown(path));

/** Rejects (`OpsignFailed`) if the name is taken: a key that is overwritten is lost on every host. */
export const refuseExisting = async (path: string): Promise<void> => {
  const found = await lstat(path).then(
    () => true,
    () => false,
  );
  if (found) throw taken(path);
};

const taken = (path: string) =>
  new OpsignFailed(`${shown(path)} exists already, and keys are never overwritten. Choose another name with -key.`);

/** Durable, or not there at all. Rejects (`OpsignFailed`). */
export const writeKeyFile = async (path: string, text: string): Promise<void> => {
  const cannot = (cause: unknown): never => {
    throw new OpsignFailed(`The key cannot be written to ${shown(path)} (${codeOf(cause)}); none was made.`, { cause });
  };
  await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch(cannot);
  const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
    throw codeOf(error) === 'EEXIST' ? taken(path) : cannot(error);
  });
  try {
    await file.writeFile(text);
    await file.sync();
    await syncDirectory(dirname(path));
  } catch (error) {
    await unlink(path);
    cannot(error);
  } finally {
    await file.close();
  }
};

const syncDirectory = async (path: string): Promise<void> => {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};
