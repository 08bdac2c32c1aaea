/** Operations that need a signature as lines of text. Pure. */

import { inert } from '#shared/inert';
import type { AdminOp, Trust } from '#shared/wire/admin-ops';
import type { FormatJob } from '#shared/wire/jobs';
import { hasWritten } from '../disks/format/jobs.ts';
import { bytesText } from '../disks/inventory/data.ts';
import { table } from './table.ts';
import { time } from './words.ts';

const or = (text: string): string => (text === '' ? '-' : inert(text));
const size = (bytes: number | null): string => (bytes === null ? 'of unknown size' : bytesText(bytes));

const STATE: Record<AdminOp['op']['state'], string> = {
  open: 'waits for a signature',
  granted: 'signed',
  expired: 'expired',
  closed: 'closed',
};

export const opTable = (ops: readonly AdminOp[]): string[] =>
  table([
    ['ID', 'STATE', 'DEVICE', 'ROLE', 'MODEL', 'SERIAL', 'GUEST', 'MAKES', 'UNTIL'],
    ...ops.map(({ op }) => [
      ...[op.id, STATE[op.state], or(op.device), op.role, or(op.model), or(op.serial), String(op.vmid), op.fstype],
      op.state === 'open' ? time(op.expires_at) : '-',
    ]),
  ]);

/** What keeps any signature from being accepted, or will. */
export const trustNotes = ({ grants_off, keys, keys_problem }: Trust): string[] => [
  ...(grants_off === '' ? [] : [`No signature is accepted now: ${inert(grants_off)}`]),
  ...(keys_problem === '' ? [] : [`No key may sign: ${inert(keys_problem)}`]),
  ...(keys_problem === '' && !keys.some(({ state }) => state === 'active')
    ? ['No key may sign: the file of keys names none that is active.']
    : []),
];

/** A word and what belongs to it, further lines below it. */
const field = (word: string, ...lines: readonly string[]): string[] =>
  lines.map((line, index) => `${(index === 0 ? word : '').padEnd(12)}${line}`);

const jobWords = ({ job_id, state, phase, error }: FormatJob): string => {
  if (state === 'running') return `${job_id} runs (${inert(phase)})`;
  return state === 'done' ? `${job_id} is done` : `${job_id} ${state}: ${inert(error)}`;
};

const ROLE = { system: 'system: the host needs it to run', backup: 'backup: the backups are on it' } as const;

/** How it comes out of use; a system drive's uses are ended by people. */
const outOfUse = ({ op }: AdminOp): string[] =>
  op.role === 'backup'
    ? ['Before it can be erased it has to be out of use. As root on this host:', `  felhom-agent ops prepare ${inert(op.id)}`, '']
    : ['Before it can be erased, each of these uses has to be ended by hand.', ''];

/** Its signature was used up without a byte written. */
const isInVain = ({ job }: AdminOp): boolean => job?.state === 'failed' && !hasWritten(job);

/** What was taken out of use for nothing. */
const putBack = (shown: AdminOp): string[] => {
  const { op, prepared } = shown;
  return prepared.length === 0 || (op.state === 'granted' && !isInVain(shown))
    ? []
    : ['', 'To put it back into use, as root on this host:', `  felhom-agent ops prepare ${inert(op.id)} --undo`];
};

/** What follows from it, and the command that signs it alone on its line, to be copied. */
const nextSteps = (shown: AdminOp): string[] => {
  const { op, in_use } = shown;
  if (op.state !== 'open') return [...(op.reason === '' ? [] : ['', inert(op.reason)]), ...putBack(shown)];
  return [
    '',
    ...(in_use.length === 0 ? [] : outOfUse(shown)),
    'To have it erased, on the machine with the key, after you compared model and serial with the drive itself:',
    `  ${inert(op.sign_command)}`,
    '',
    'Then carry the line that it prints here, as root, or into the page of the guest:',
    '  felhom-agent ops grant',
  ];
};

export const opLines = (shown: AdminOp): string[] => {
  const { op, in_use, prepared, granted_by, job } = shown;
  return [
    `${op.id}  ${STATE[op.state]}`,
    ...field('erases', `${or(op.device)}: ${or(op.model)}, serial ${or(op.serial)}, ${size(op.size_bytes)}`),
    ...field('role', ROLE[op.role]),
    ...field('makes', `one ${op.fstype} file system over the whole drive, for guest ${op.vmid}, which asked for it`),
    ...field('asked', time(op.created_at)),
    ...field('until', time(op.expires_at)),
    ...field('in use by', ...(op.state !== 'open' ? [] : in_use.length === 0 ? ['nobody'] : in_use.map(inert))),
    ...field('prepared', ...prepared.map(inert)),
    ...field('signed by', ...(granted_by === '' ? [] : [inert(granted_by)])),
    ...field('job', ...(job === null ? [] : [jobWords(job)])),
    ...nextSteps(shown),
  ];
};
