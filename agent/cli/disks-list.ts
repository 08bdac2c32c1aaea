/** `felhom-agent disks list`. */
import { Command } from 'commander';
import { inertJson } from '#shared/inert';
import { listDrives } from '#shared/wire/admin-disks';
import { ask } from './admin-client.ts';
import { driveNotes, driveTable } from './drive-lines.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { span } from './words.ts';

const OLD_SECONDS = 60;

export const disksListCommand = ({ out, err }: Io): Command =>
  new Command('list')
    .description('show every drive, plugged in or remembered, with its role and whose it is; wakes no drive')
    .option('--json', 'print them as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nRoles: "system" the host needs it, or it cannot be told; "backup" backups are or were kept on it; "user-data" a guest may have it.\n' +
        '"disks show" says why. A drive counts as carrying data until all of it was read and found zero.\n\n' +
        'Exit status: 0 shown, 1 failed.',
    )
    .action(async ({ json, config }: { json?: true; config: string }) => {
      const answer = await ask(listDrives, { config });
      if (json) return out(inertJson(answer));
      if (answer.drives.length > 0) for (const line of driveTable(answer.drives)) out(line);
      else err('There is no drive, plugged in or remembered.');
      for (const note of driveNotes(answer)) err(note);
      const { age_seconds } = answer;
      if (age_seconds !== null && age_seconds > OLD_SECONDS)
        err(`The drives could not be looked at now: what is shown is ${span(age_seconds)} old.`);
    });
