/** Why a signature is not accepted: for each a sentence of its own, and what to do next. Pure. */
import { FelhomError } from '#shared/errors';
import type { GrantClaims, GrantError } from '#shared/grant';
import { timestamp } from '#shared/ids';
import type { Op } from './op.ts';

const UNUSED = 'The signature was not used up.';
const AGAIN = 'Ask for the format again and have the operation signed that comes with it.';

const refused = (sentence: string, cause?: unknown): FelhomError => new FelhomError('grant-refused', sentence, cause);

export const unreadable = (error: GrantError): FelhomError => refused(error.message, error);

export const otherHost = (claims: GrantClaims, hostScope: string): FelhomError =>
  refused(`It was signed for the host ${claims.host}, and this one is ${hostScope}. Carry it to that host. ${UNUSED}`);

export const otherOp = (opId: string): FelhomError =>
  refused(`It was signed for another operation than ${opId}. Carry it to the one that it was signed for. ${UNUSED}`);

export const noSuchOp = (): FelhomError =>
  refused(
    `No operation of this host waits for it: it was signed for another drive, role, file system or guest, or the operation is long over. ${AGAIN}`,
  );

export const opExpired = ({ id, expiresAt }: Op): FelhomError =>
  refused(`The operation ${id} waited for its signature until ${timestamp(expiresAt)} and is over. ${AGAIN}`);

export const opClosed = ({ id, reason }: Op): FelhomError => refused(`The operation ${id} was closed: ${reason} ${AGAIN}`);

/** Another signature for the same operation came first. */
export const opGranted = ({ id, jobId }: Op): FelhomError =>
  refused(`The operation ${id} was granted already, by another signature (job ${jobId}); it is not done twice. ${UNUSED}`);

export const alreadyUsed = (usedAt: number, jobId: string): FelhomError =>
  refused(
    `This signature was used already, at ${timestamp(usedAt)} (job ${jobId === '' ? 'unknown' : jobId}); each is good for one time. ${AGAIN}`,
  );

/** @param now of the host; ms */
export const clocksDiffer = ({ iat, exp }: GrantClaims, now: number): FelhomError =>
  refused(
    `It was signed to be good from ${timestamp(iat * 1000)} to ${timestamp(exp * 1000)} by the operator's clock; this host's clock says ${timestamp(now)}. They differ by more than a day, or it is too old. Set the clock that is wrong and sign again. ${UNUSED}`,
  );

export const changedDrive = (): FelhomError =>
  refused(`The drive is not as it was when the operation was asked for, so the signature does not fit it. ${AGAIN} ${UNUSED}`);

export const unplugged = (): FelhomError =>
  new FelhomError('drive-not-found', `The drive is not plugged in. Plug it in and carry the same signature again. ${UNUSED}`);

export const twins = (names: readonly string[]): FelhomError =>
  new FelhomError(
    'drive-ambiguous',
    `The drive cannot be told from ${names.join(' and ')}: they look the same to the server. Unplug all but the one that is meant and carry the same signature again. ${UNUSED}`,
  );

export const otherGuest = (vmid: number): FelhomError =>
  new FelhomError(
    'drive-unknown-owner',
    `Guest ${vmid} is not the one any more that asked for it, or it is not known now whether it is. The guest has to ask for the format again. ${UNUSED}`,
  );

/** @param entries of `disks.protect` */
export const setAside = (entries: readonly string[]): FelhomError =>
  new FelhomError(
    'drive-protected',
    `The host's operator has set this drive aside (${entries.join(', ')} in disks.protect of the agent's configuration): no signature overrides that. Take the line out and reload the agent; then the guest asks for the format again. ${UNUSED}`,
  );

/** A system drive's uses are ended by people. */
const prepareFirst = ({ id, role }: Op): string =>
  role === 'backup'
    ? `On the host, as root, run "felhom-agent ops prepare ${id}".`
    : `The operator has to end each of these uses by hand; "felhom-agent ops show ${id}" names them.`;
const THEN = `Then carry the same signature again. ${UNUSED}`;

/** @param obstacles sentences that name the host's own files and guests */
export const notPrepared = (op: Op, obstacles: readonly string[], isRoot: boolean): FelhomError => {
  const what = isRoot ? obstacles.join(' ') : 'The host still uses this drive, or expects it to be there.';
  return new FelhomError('op-not-prepared', `${what} ${prepareFirst(op)} ${THEN}`, new Error(obstacles.join(' ')));
};

/** @param why for root: names files of the host */
export const grantsOff = (why: string, isRoot: boolean): FelhomError =>
  new FelhomError(
    'grants-off',
    isRoot
      ? `No signature is accepted on this host now. ${why} Nothing was erased.`
      : 'No signature is accepted on this host now, and nothing was erased. The operator has to look why: "felhom-agent ops list" on the host says it.',
    new Error(why),
  );

/** It is not known to be recorded, so nothing was written to the drive. */
export const notRecorded = (isUsed: boolean | null, cause: unknown): FelhomError => {
  const used = {
    true: 'It is used up all the same: sign again.',
    false: UNUSED,
    null: 'Whether it is used up is not known: sign again.',
  };
  return new FelhomError(
    'state-failed',
    `The agent's database could not record the signature, so nothing was erased. The operator has to look at the host's disk. ${used[`${isUsed}`]}`,
    cause,
  );
};

export const notWitnessed = (cause: unknown): FelhomError =>
  new FelhomError(
    'state-failed',
    `The signature was recorded, but not in the file beside the operators' keys that counts them, so nothing was erased. It is used up. The operator has to look at the host's disk; then ${AGAIN.charAt(0).toLowerCase()}${AGAIN.slice(1)}`,
    cause,
  );

/** @param users sentences for root */
export const inUse = (op: Op, users: readonly string[], cause: unknown): FelhomError =>
  new FelhomError(
    'drive-in-use',
    `The drive is in use: no signature overrides that. ${users.join(' ')} Nothing was erased. ${prepareFirst(op)} ${THEN}`,
    cause,
  );

/** Of whatever kept the drive from being erased before the signature was recorded. */
export const stillGood = (op: Op, error: FelhomError): FelhomError => {
  // Of the signature or the operation itself: to carry it again is of no use.
  if (error.code === 'grant-refused' || error.message.includes(UNUSED)) return error;
  const next = error.code === 'drive-in-use' ? `${prepareFirst(op)} ${THEN}` : THEN;
  return new FelhomError(error.code, `${error.message} ${next}`, error.cause, error.details);
};

export const usedInVain = (error: FelhomError): FelhomError =>
  new FelhomError(error.code, `${error.message} The signature is used up. ${AGAIN}`, error.cause, error.details);
