/** `felhom-agent state accept`. */
import { Command } from 'commander';
import { inert, inertJson } from '#shared/inert';
import { acceptState, listAllOps } from '#shared/wire/admin-ops';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { trustNotes } from './op-lines.ts';

export const stateAcceptCommand = ({ out, err }: Io): Command =>
  new Command('accept')
    .description('take the records of the agent as they are, after they were lost or put back from a copy')
    .option('--json', 'print what is trusted now as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nUntil this is run no signature is accepted and nothing is done to drives. First look whether the agent still knows what each drive\n' +
        'is for and whose it is ("felhom-agent disks list"): it forgot what happened after the copy was made. Every operation that waits for\n' +
        'a signature is closed.\n\nExit status: 0 accepted, 1 refused or failed.',
    )
    .action(async ({ json, config }: { json?: true; config: string }) => {
      const { trust: before } = await ask(listAllOps, { config });
      const trust = await ask(acceptState, { config });
      if (json) return out(inertJson(trust));
      if (before.grants_off !== '') err(`What was wrong: ${inert(before.grants_off)}`);
      err('The records are accepted as they are. Operations that waited for a signature are closed; the guests ask again.');
      for (const note of trustNotes(trust)) err(note);
    });
