/** `felhom-agent backup protect`. */
import { Command } from 'commander';
import { protectBackup } from '#shared/wire/admin-backups';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { volid } from './volid.ts';

export const backupProtectCommand = ({ out, err }: Io): Command =>
  new Command('protect')
    .description('mark an archive so that neither felhom nor Proxmox deletes it')
    .argument('<volid>', 'the archive, as "backup list" shows it', volid)
    .option('--off', 'take the mark away: from then on retention decides')
    .option('--json', 'print its state as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 done, 1 refused or failed.')
    .action(async (archive: string, { off, json, config }: { off?: true; json?: true; config: string }) => {
      const state = await ask(protectBackup, { config, body: { volid: archive, on: off !== true } });
      if (json) out(JSON.stringify(state));
      else err(`${state.volid} is ${state.protected ? 'protected: nobody deletes it' : 'not protected: retention decides'}.`);
    });
