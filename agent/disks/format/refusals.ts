/** What the customer is told when a drive is not formatted: the cause, and the next step. Never another guest's drive, never a path of the host. */
import { FelhomError } from '#shared/errors';
import { DriveFormatError } from '../../ports/drive-format.ts';
import { StoreError } from '../../ports/store.ts';
import { beingFormatted } from '../deeds/candidate.ts';
import type { Holder } from '../inventory/drive.ts';

export const NOTHING = 'Nothing was erased.';
const AGAIN = 'Please try again in a minute.';

export const refusal = {
  writesOff: (why: string) => new FelhomError('drive-writes-off', why),
  notKnown: () =>
    new FelhomError(
      'not-known',
      `Not everything about the drives of this server could be found out, so none is formatted. ${NOTHING} ${AGAIN} If it goes on, ask your operator.`,
    ),
  notFound: (device: string) =>
    new FelhomError(
      'drive-not-found',
      `There is no drive "${device}" on this server now. ${NOTHING} Look at the list of drives: names change when a drive is plugged in anew.`,
    ),
  noName: () =>
    new FelhomError(
      'invalid-request',
      `"device" is a name as the list of drives shows it, such as "sdb" or "/dev/sdb". ${NOTHING}`,
    ),
  filesystem: (allowed: readonly string[]) =>
    new FelhomError('filesystem-not-supported', `This server makes ${allowed.join(', ')} only. ${NOTHING}`),
  mkfsMissing: (why: string) =>
    new FelhomError(
      'filesystem-not-supported',
      `The server cannot make this file system: ${why} ${NOTHING} Ask your operator to install it, or choose another one.`,
    ),
  tooSmall: (fstype: string, mib: number) =>
    new FelhomError(
      'drive-too-small',
      `This drive is too small for ${fstype}, which needs ${mib} MiB. ${NOTHING} Choose another file system, or another drive.`,
    ),
  running: beingFormatted,
  anothers: () => new FelhomError('drive-in-use', `This drive is given to another guest. ${NOTHING} Ask your operator.`),
  own: () =>
    new FelhomError(
      'drive-in-use',
      `The server's configuration gives this drive to your guest as a disk of its own. ${NOTHING} Your operator has to take it out of there first.`,
    ),
  twins: () =>
    new FelhomError(
      'drive-ambiguous',
      `This drive cannot be told from another one: they look the same to the server. ${NOTHING} Unplug all but one of them and try again.`,
    ),
  silent: () =>
    new FelhomError(
      'drive-not-answering',
      `The drive does not answer. ${NOTHING} Check its cable and its power, then try again.`,
    ),
  /** @param why a sentence fit for guests; empty where there is none */
  unread: (why = '') =>
    new FelhomError(
      'not-known',
      `This drive is not wholly known yet. ${why === '' ? '' : `${why} `}${NOTHING} ${AGAIN} If it goes on, ask your operator.`,
    ),
  connected: () =>
    new FelhomError('drive-in-use', `This drive is connected to a guest. ${NOTHING} Eject it first, then format it.`),
  changed: () =>
    new FelhomError(
      'drive-not-found',
      `The drive was exchanged, or changed, while it was being looked at. ${NOTHING} Look at the list of drives and ask again.`,
    ),
} as const;

const USES: Record<Holder['kind'], string> = {
  mount: 'It is mounted on the server.',
  swap: 'The server uses it as memory (swap).',
  device: 'Something else on the server stands on it.',
  loop: 'A file on it serves as a drive.',
  guest: 'A guest has it open.',
  process: 'A program on the server has it open.',
  exclusive: 'Something on the server claims it for itself.',
  unknown: 'Whether somebody uses it cannot be told.',
};

/** @param vmid who asks */
export const inUse = ({ kind, vmid: whose }: Holder, vmid: number): FelhomError => {
  if (kind === 'mount' && whose === vmid) return refusal.connected();
  const next =
    kind === 'unknown' || kind === 'process' || kind === 'exclusive'
      ? `${AGAIN} If it goes on, ask your operator.`
      : 'Ask your operator to end that use.';
  return new FelhomError('drive-in-use', `This drive is in use. ${USES[kind]} ${NOTHING} ${next}`);
};

const BY_CODE: Record<DriveFormatError['code'], () => FelhomError> = {
  changed: refusal.changed,
  busy: () => inUse({ kind: 'exclusive', sentence: '', vmid: null, pid: null }, 0),
  locked: () => new FelhomError('drive-in-use', `The server is just looking at this drive. ${NOTHING} ${AGAIN}`),
  hung: refusal.silent,
  io: () =>
    new FelhomError(
      'drive-not-answering',
      `The drive does not work as it should. ${NOTHING} Check its cable and its power, and have a replacement ready.`,
    ),
  mkfs: () => new FelhomError('format-failed', `Formatting could not be started. ${NOTHING} Ask your operator.`),
  leftovers: () => new FelhomError('format-failed', `Formatting could not be started. ${NOTHING} Ask your operator.`),
  internal: () => new FelhomError('format-failed', `Formatting could not be started. ${NOTHING} Ask your operator.`),
};

/** Of whatever went wrong before the first byte was written. */
export const explained = (error: unknown): unknown => {
  if (error instanceof FelhomError || error instanceof StoreError) return error;
  if (error instanceof DriveFormatError) {
    const { code, message, details } = BY_CODE[error.code]();
    return new FelhomError(code, message, error, details);
  }
  return new FelhomError(
    'format-failed',
    `The server could not do all that formatting takes. ${NOTHING} ${AGAIN} If it goes on, ask your operator.`,
    error,
  );
};
