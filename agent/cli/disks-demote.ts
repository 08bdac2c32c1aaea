/** `felhom-agent disks demote`. */
import { Command } from 'commander';
import { inert, inertJson } from '#shared/inert';
import { demoteDrive } from '#shared/wire/admin-disks';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

export const disksDemoteCommand = ({ out, err }: Io): Command =>
  new Command('demote')
    .description('forget what a drive was once used for, so that a guest may have it; erases nothing')
    .argument('<drive>', 'its kernel name, serial, WWN or durable id, as "disks list --json" shows them')
    .option('--json', 'print the drive as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nA drive that once held the system or backups keeps that role, wherever it is plugged in, until this is run. What it is used for\n' +
        'now still counts: then it keeps its role, and this says why.\n\nExit status: 0 forgotten, 1 refused or failed.',
    )
    .action(async (named: string, { json, config }: { json?: true; config: string }) => {
      const { drive } = await ask(demoteDrive, { config, body: { drive: named } });
      if (json) return out(inertJson({ drive }));
      err(`What ${inert(drive.name)} was once used for is forgotten. Its role now is ${drive.role}.`);
      for (const { role, sentence } of drive.role === 'user-data' ? [] : drive.reasons) err(`- ${role}: ${inert(sentence)}`);
    });
