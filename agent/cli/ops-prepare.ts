/** `felhom-agent ops prepare`. */
import { Command } from 'commander';
import { inert, inertJson } from '#shared/inert';
import { type AdminOp, prepareOp } from '#shared/wire/admin-ops';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

/** A backup that runs is ended and waited for, and all that was written goes to the drive before it is unmounted. */
const PATIENCE_MS = 10 * 60_000;

const listed = (sentences: readonly string[]): string[] => sentences.map((one) => `- ${inert(one)}`);

const preparedLines = ({ op, prepared, in_use }: AdminOp): string[] => [
  prepared.length === 0
    ? `Nothing had to be taken out of use of ${inert(op.device)}.`
    : `Out of use, so that ${inert(op.device)} can be erased:`,
  ...listed(prepared),
  ...(in_use.length === 0
    ? ['It can be erased as soon as the signature is there. On the machine with the key:', `  ${inert(op.sign_command)}`]
    : ['Before it can be erased, this has to be done by hand:', ...listed(in_use)]),
  ...(prepared.length === 0 ? [] : [`To put it back into use instead: felhom-agent ops prepare ${inert(op.id)} --undo`]),
];

const undoneLines = ({ op }: AdminOp): string[] => [`${inert(op.device)} is in use again as it was before.`];

export const opsPrepareCommand = ({ out, err }: Io): Command =>
  new Command('prepare')
    .description(
      'take a backup drive out of use, so that its wipe can be granted: storage disabled, its backups ended, unmounted',
    )
    .argument('<id>', 'the operation, as "ops list" says')
    .option('--undo', 'put everything back that "ops prepare" took out of use')
    .option('--json', 'print the operation as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nWhoever still uses the drive is named, and then everything is put back as it was. Backups that felhom did not start are never\n' +
        'ended. A system drive is never taken out of use. After the drive was erased its storage stays disabled until you give it\n' +
        'another drive, for backups would fill the disk that the host runs from.\n\n' +
        'Exit status: 0 done, 1 refused or failed.',
    )
    .action(async (id: string, { undo, json, config }: { undo?: true; json?: true; config: string }) => {
      const answer = await ask(prepareOp, { config, body: { id, undo: undo === true }, patienceMs: PATIENCE_MS });
      if (json) return out(inertJson(answer));
      for (const line of undo ? undoneLines(answer) : preparedLines(answer)) err(line);
    });
