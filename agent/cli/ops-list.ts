/** `felhom-agent ops list`. */
import { Command } from 'commander';
import { inertJson } from '#shared/inert';
import { listAllOps } from '#shared/wire/admin-ops';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { opTable, trustNotes } from './op-lines.ts';

export const opsListCommand = ({ out, err }: Io): Command =>
  new Command('list')
    .description('show which drives wait for a signature to be erased, and what became of those of the last week')
    .option('--json', 'print it as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 shown, 1 it failed.')
    .action(async ({ json, config }: { json?: true; config: string }) => {
      const answer = await ask(listAllOps, { config });
      if (json) return out(inertJson(answer));
      if (answer.ops.length === 0) err('Nothing waits for a signature.');
      else for (const line of opTable(answer.ops)) out(line);
      for (const note of trustNotes(answer.trust)) err(note);
    });
