/** Whether a drive holds what was made on it, and nothing else. */
import { settle } from './clear.ts';
import { Failed } from './failed.ts';
import type { Maker } from './filesystems.ts';
import type { FormatOrder } from './protocol.ts';
import { inWords, signaturesOn } from './signatures.ts';

/** As wipefs(8) names the parts of a GPT: its two copies, and what keeps older programs from it. */
const TABLE = 'PMBR gpt gpt';

const assertOnlyTable = (drive: number): void => {
  const found = signaturesOn(drive);
  const listed = found.listed.map(({ type }) => type).sort();
  if (listed.join(' ') !== TABLE || found.found.PTTYPE !== 'gpt' || found.found.TYPE !== undefined)
    throw new Failed('leftovers', `the drive shows ${inWords(found)} instead of a new table alone`);
};

/** Reads from the medium. @returns the UUID of the new file system. Throws Failed. */
export const check = (drive: number, partition: number, fstype: FormatOrder['fstype'], { signatures }: Maker): string => {
  settle(partition);
  settle(drive);
  assertOnlyTable(drive);
  const shown = signaturesOn(partition);
  const { TYPE, UUID = '' } = shown.found;
  const isOnly = shown.listed.length > 0 && shown.listed.every(({ type }) => signatures.includes(type));
  if (TYPE !== fstype || UUID === '' || !isOnly)
    throw new Failed('leftovers', `the new partition shows ${inWords(shown)} instead of ${fstype} alone`);
  return UUID;
};
