/** `felhom-agent ops show`. */
import { Command } from 'commander';
import { inertJson } from '#shared/inert';
import { showOp } from '#shared/wire/admin-ops';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { opLines } from './op-lines.ts';

/** Every process of the host is looked at. */
const PATIENCE_MS = 60_000;

export const opsShowCommand = ({ out }: Io): Command =>
  new Command('show')
    .description('show one operation: which drive it erases, for whom, who keeps it in use now, and the command that signs it')
    .argument('<id>', 'the operation, as "ops list" shows it')
    .option('--json', 'print it as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 shown, 1 there is no such operation, or it failed.')
    .action(async (id: string, { json, config }: { json?: true; config: string }) => {
      const answer = await ask(showOp, { config, query: { id }, patienceMs: PATIENCE_MS });
      if (json) return out(inertJson(answer));
      for (const line of opLines(answer)) out(line);
    });
