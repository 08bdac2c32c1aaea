/** `felhom-agent clock accept`. */
import { Command } from 'commander';
import { inertJson } from '#shared/inert';
import { acceptClock } from '#shared/wire/admin-ops';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { trustNotes } from './op-lines.ts';
import { time } from './words.ts';

export const clockAcceptCommand = ({ out, err }: Io): Command =>
  new Command('accept')
    .description("take the host's clock as it is, after it was wrong")
    .option('--json', 'print what is trusted now as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nWhile the clock is behind a time that it had already, no signature is accepted. Set it first ("timedatectl"); this is for when it is\n' +
        'right and was ahead before.\n\nExit status: 0 accepted, 1 refused or failed.',
    )
    .action(async ({ json, config }: { json?: true; config: string }) => {
      const trust = await ask(acceptClock, { config });
      if (json) return out(inertJson(trust));
      err(`It is ${time(trust.clock_now)} from now on.`);
      for (const note of trustNotes(trust)) err(note);
    });
