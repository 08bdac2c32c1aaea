/** What a signature would destroy, in words, and the question that proves somebody looked at the drive and not at a page. */
import { type DriveFacts, durableWord, readDriveDurableId, WORD_CHARS } from '#shared/durable-id';
import { isHostScope } from '#shared/grant';
import { OpsignFailed } from './failed.ts';
import type { Wish } from './sign.ts';
import type { Terminal } from './terminal.ts';
import { sizeText } from './words.ts';

const TRIES = 3;
const ASKED_CHARS = 4;
/** `durableWord` of a serial number that the drive does not tell. */
const NO_SERIAL = '_';

const CHARACTERS = 'letters, digits and . _ : - only, at most 200 of them, the first one a letter or digit';
const AGAIN = 'Copy the command anew from "felhom-agent ops show" on the host.';

/** What is asked for. Throws `OpsignFailed`; nothing of a value that is not plain is shown. */
export const driveOf = ({ host, durableId }: Wish): DriveFacts => {
  if (!isHostScope(host)) throw new OpsignFailed(`What follows -host is not the id of a host (${CHARACTERS}). ${AGAIN}`);
  const drive = readDriveDurableId(durableId);
  if (drive === null)
    throw new OpsignFailed(
      `What follows -durable-id is not the id of a drive (byid:<role>.<model>.<serial>.<bytes>.<26 characters>). ${AGAIN}`,
    );
  if (drive.role === 'user-data')
    throw new OpsignFailed("This is a customer's own drive: its owner confirms a format, and no signature is needed.");
  return drive;
};

/** A short serial number is asked for whole. One that is not told, or was cut, is on no label: then the id's own end. */
interface Asked {
  what: string;
  answer: string;
  /** Where it can be read without trusting whoever sent the command; ends of lines. */
  from: readonly string[];
  /** The serial number without what is asked for. */
  serialText: string;
}

const FROM_LABEL = [" from the drive's own label, or from", '"felhom-agent ops list" on that host.'];
const FROM_HOST = [' from "felhom-agent ops show" on that host.'];

const askedOf = ({ serial, digest }: DriveFacts): Asked => {
  if (serial === NO_SERIAL || serial.length >= WORD_CHARS)
    return {
      what: `last ${ASKED_CHARS} characters of its durable id`,
      answer: digest.slice(-ASKED_CHARS),
      from: FROM_HOST,
      serialText: serial === NO_SERIAL ? 'the drive tells none' : `${serial}...`,
    };
  const answer = serial.slice(-ASKED_CHARS);
  return {
    what: serial.length > ASKED_CHARS ? `last ${ASKED_CHARS} characters of its serial number` : 'serial number',
    answer,
    from: FROM_LABEL,
    serialText: `${serial.slice(0, -ASKED_CHARS)}${'.'.repeat(answer.length)}`,
  };
};

const LOST: Record<'system' | 'backup', string[]> = {
  backup: ['A BACKUP DRIVE', 'Every backup on it is lost.'],
  system: ['A SYSTEM DRIVE', 'The host, or guests that run on it, may never start again.'],
};

/** A line of the summary. */
const row = (word: string, text: string): string => `  ${word.padEnd(10)}${text}`;

/** What will be destroyed, and where to look before saying yes. */
export const summaryOf = ({ host }: Wish, drive: DriveFacts): string[] => {
  const { serialText, what, from } = askedOf(drive);
  const [kind, loss] = LOST[drive.role === 'system' ? 'system' : 'backup'];
  return [
    `You are asked to permit that ${kind} is erased.`,
    '',
    row('host', host),
    row('drive', `${drive.model}, ${sizeText(drive.sizeBytes)}${drive.sizeBytes === null ? '' : ` (${drive.sizeBytes} bytes)`}`),
    row('serial', serialText),
    row('role', drive.role),
    '',
    `Everything on this drive is erased. ${loss} It cannot be undone.`,
    'Nothing happens yet: the host erases it when it is given the line that this command prints.',
    '',
    `Now read the ${what}${from[0]}`,
    ...from.slice(1),
    'Do not take them from a page, a message or a call: whoever asks you for this signature can show',
    'you any number there. If the two do not agree, do not sign.',
  ];
};

/** As typed by somebody who reads a label: letters of either case, and every character that ids cannot hold. */
const sameWord = (typed: string, wanted: string): boolean =>
  [typed, typed.trim()].some((text) => durableWord(text).toUpperCase() === wanted.toUpperCase());

/** Asks until the answer fits. Rejects (`OpsignFailed`) after three tries. */
export const confirm = async (terminal: Terminal, drive: DriveFacts): Promise<void> => {
  const { what, answer } = askedOf(drive);
  for (let left = TRIES; left > 0; left--) {
    if (sameWord(await terminal.ask(`The ${what}:`, { shown: true }), answer)) return;
    terminal.say(`This command is for another drive, or that was mistyped.${left === 1 ? '' : ' Look at the drive again.'}`);
  }
  throw new OpsignFailed(
    `Nothing was signed: the drive you looked at is not the one in this command. Ask on the host what is waiting: "felhom-agent ops list".`,
  );
};
