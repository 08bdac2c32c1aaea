/** `felhom-agent guest remove`. */
import { Command } from 'commander';
import { removeGuest } from '#shared/wire/admin';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { vmid } from './vmid.ts';

export const guestRemoveCommand = ({ err }: Io): Command =>
  new Command('remove')
    .description('forget a guest and its tokens; its archives stay')
    .argument('<vmid>', 'the guest', vmid)
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nA guest that still has drives is refused: "disks eject" them first.\n\nExit status: 0 removed, 1 refused or failed.',
    )
    .action(async (guest: string, { config }: { config: string }) => {
      const { note } = await ask(removeGuest, { config, params: { vmid: guest } });
      err(`Guest ${guest} and its tokens are forgotten.`);
      if (note !== '') err(note);
    });
