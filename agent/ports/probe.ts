/** What lies at the known places of one block device, as blkid(8) and wipefs(8) read it from the device itself. It is opened read-only. */
import { CommandError, type RunForOutcome } from './command.ts';

/** As one of the two programs names it; what it does not say is empty. */
export interface FoundSignature {
  type: string;
  /** Bytes from the device's start; null where blkid alone names it. */
  offset: number | null;
  uuid: string;
  label: string;
}

export interface Probed {
  signatures: readonly FoundSignature[];
  /** Several things that exclude each other were found. */
  ambivalent: boolean;
  /** Neither program found anything at all, neither complained, and the places where they look could be read. */
  nothing: boolean;
  /** Of its partition table: a GUID, or eight hex digits; lower case. */
  tableUuid: string;
  /** How many partitions its table lists; null where it has none, or one that cannot be read. */
  declared: number | null;
  /** Of a partition: its own identity in the drive's table, lower case. */
  partitionUuid: string;
}

export interface ProbeDevice {
  /**
   * Rejects (CommandError) where a program fails, or does not answer in time: `timeout`, `stuck`. Rejects with another error where what it
   * said cannot be trusted.
   * @param name the kernel's, of a drive or a partition
   */
  read(name: string, sizeBytes: number): Promise<Probed>;
}

/** The kernel writes `!` for the slash in `cciss/c0d0`. */
export const deviceFile = (name: string): string => `/dev/${name.replaceAll('!', '/')}`;

const AMBIVALENT = 8;
const FOUND = 0;

/** `-o export`: `NAME=value`, what a shell would take for its own behind a backslash. */
export const parseExport = (text: string): Record<string, string> =>
  Object.fromEntries(
    text.split('\n').flatMap((line): [string, string][] => {
      const [, key, value] = /^([A-Z][A-Z_0-9]*)=(.*)$/.exec(line) ?? [];
      return key === undefined || value === undefined ? [] : [[key, value.replace(/\\(.)/g, '$1')]];
    }),
  );

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

const textIn = (entry: Record<string, unknown>, key: string): string => {
  const value = entry[key];
  return typeof value === 'string' ? value : '';
};

const signatureIn = (entry: unknown): FoundSignature => {
  if (!isRecord(entry) || textIn(entry, 'type') === '' || !/^0x[0-9a-f]+$/.test(textIn(entry, 'offset')))
    throw new Error('wipefs lists something that is not understood');
  return {
    type: textIn(entry, 'type'),
    offset: Number(textIn(entry, 'offset')),
    uuid: textIn(entry, 'uuid'),
    label: textIn(entry, 'label'),
  };
};

/** Throws where it is no list of signatures. */
export const parseWipefs = (text: string): FoundSignature[] => {
  const whole: unknown = JSON.parse(text);
  if (!isRecord(whole) || !Array.isArray(whole.signatures)) throw new Error('wipefs gives no list of signatures');
  return whole.signatures.map(signatureIn);
};

/** What blkid alone names, and what it knows better: an exFAT's boot sector is listed, its UUID is not always. */
const merged = (listed: readonly FoundSignature[], found: Readonly<Record<string, string>>): FoundSignature[] => {
  const { TYPE = '', UUID = '', LABEL = '', PTTYPE = '', PTUUID = '' } = found;
  const own = (type: string, uuid: string, label: string): FoundSignature[] =>
    type === '' || listed.some((one) => one.type === type) ? [] : [{ type, offset: null, uuid, label }];
  return [
    ...listed.map((one) => (one.type === TYPE && one.uuid === '' ? { ...one, uuid: UUID } : one)),
    ...own(TYPE, UUID, LABEL),
    ...own(PTTYPE, PTUUID, ''),
  ];
};

/** libblkid (2.38 to 2.41) looks within the first 4 MiB and a bit, and within the last 1.6 MB: both, with room to spare. */
const FRONT_BYTES = 8 * 1024 ** 2;
const BACK_BYTES = 4 * 1024 ** 2;
const BLOCK_BYTES = 65_536;

/** Free places of the table are left out. sfdisk(8), `--json`. */
const partitionsListed = (text: string): number => {
  const whole: unknown = JSON.parse(text);
  const table = isRecord(whole) ? whole.partitiontable : undefined;
  if (!isRecord(table)) throw new Error('sfdisk gives no partition table');
  const { partitions = [] } = table;
  if (!Array.isArray(partitions)) throw new Error('sfdisk gives no list of partitions');
  return partitions.length;
};

export const createProbe = (run: RunForOutcome): ProbeDevice => {
  const readable = async (file: string, fromByte: number, bytes: number): Promise<void> => {
    const count = Math.ceil(bytes / BLOCK_BYTES);
    const place = ['iflag=skip_bytes', `skip=${fromByte}`, `bs=${BLOCK_BYTES}`, `count=${count}`];
    await run('dd', [`if=${file}`, 'of=/dev/null', ...place, 'status=none']);
  };

  /** Both programs take what they cannot read for nothing, without a word (tried with libblkid 2.38). */
  const surelyReadable = async (file: string, sizeBytes: number): Promise<void> => {
    await readable(file, 0, Math.min(FRONT_BYTES, sizeBytes));
    await readable(file, Math.max(0, sizeBytes - BACK_BYTES), Math.min(BACK_BYTES, sizeBytes));
  };

  /** Null where sfdisk does not take it for a table. A drive that hangs is told as one. */
  const declaredOn = async (file: string): Promise<number | null> => {
    try {
      return partitionsListed((await run('sfdisk', ['--json', file])).stdout);
    } catch (error) {
      if (error instanceof CommandError && (error.reason === 'exit' || error.reason === 'start')) return null;
      throw error;
    }
  };

  return {
    read: async (name, sizeBytes) => {
      const file = deviceFile(name);
      const blkid = await run('blkid', ['-p', '-o', 'export', file]);
      if (blkid.exit !== AMBIVALENT && blkid.stderr.trim() !== '') throw new Error(`blkid: ${blkid.stderr.trim()}`);
      const wipefs = await run('wipefs', ['--json', '-n', file]);
      if (wipefs.stderr.trim() !== '') throw new Error(`wipefs: ${wipefs.stderr.trim()}`);
      const found = blkid.exit === FOUND ? parseExport(blkid.stdout) : {};
      const listed = parseWipefs(wipefs.stdout);
      // A drive without any, or a partition whose place in the table is all that blkid tells.
      if (listed.length === 0 || blkid.exit !== FOUND) await surelyReadable(file, sizeBytes);
      const signatures = merged(listed, found);
      return {
        signatures,
        ambivalent: blkid.exit === AMBIVALENT,
        nothing: signatures.length === 0 && blkid.exit !== AMBIVALENT,
        tableUuid: (found.PTUUID ?? '').toLowerCase(),
        declared: found.PTTYPE === undefined ? null : await declaredOn(file),
        partitionUuid: (found.PART_ENTRY_UUID ?? '').toLowerCase(),
      };
    },
  };
};
