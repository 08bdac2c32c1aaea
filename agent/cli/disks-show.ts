/** `felhom-agent disks show`. */
import { Command } from 'commander';
import { inert, inertJson } from '#shared/inert';
import { showDrive } from '#shared/wire/admin-disks';
import { ask } from './admin-client.ts';
import { driveLines } from './drive-lines.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

/** Every process of the host is looked at. */
const PATIENCE_MS = 60_000;

export const disksShowCommand = ({ out, err }: Io): Command =>
  new Command('show')
    .description('show one drive: its role and why, whose it is, who keeps it in use now, what it carries, and its health')
    .argument('<drive>', 'its kernel name, serial, WWN or durable id, as "disks list --json" shows them')
    .option('--json', 'print it as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 shown, 1 there is no such drive, there are several, or it failed.')
    .action(async (drive: string, { json, config }: { json?: true; config: string }) => {
      const answer = await ask(showDrive, { config, query: { drive }, patienceMs: PATIENCE_MS });
      if (json) return out(inertJson(answer));
      for (const line of driveLines(answer.drive)) out(line);
      for (const { source, why } of answer.missing) err(`Not everything could be found out (${source}): ${inert(why)}`);
    });
