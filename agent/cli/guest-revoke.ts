/** `felhom-agent guest revoke`. */
import { Command } from 'commander';
import { revokeGuest } from '#shared/wire/admin';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { vmid } from './vmid.ts';

export const guestRevokeCommand = ({ err }: Io): Command =>
  new Command('revoke')
    .description("refuse a guest's tokens from now on; the guest stays in the list and can be enrolled again")
    .argument('<vmid>', 'the guest', vmid)
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 revoked, 1 refused or failed.')
    .action(async (guest: string, { config }: { config: string }) => {
      await ask(revokeGuest, { config, params: { vmid: guest } });
      err(`The tokens of guest ${guest} are refused from now on.`);
    });
