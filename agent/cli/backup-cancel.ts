/** `felhom-agent backup cancel`. */
import { Command } from 'commander';
import { cancelBackup } from '#shared/wire/admin-backups';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { vmid } from './vmid.ts';

export const backupCancelCommand = ({ out, err }: Io): Command =>
  new Command('cancel')
    .description("end a guest's running backup; the next one comes with its schedule")
    .argument('<vmid>', 'the guest', vmid)
    .option('--json', 'print the job as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 it ends, 1 refused or failed.')
    .action(async (guest: string, { json, config }: { json?: true; config: string }) => {
      const job = await ask(cancelBackup, { config, body: { vmid: Number(guest) } });
      if (json) out(JSON.stringify(job));
      else err(`Backup ${job.job_id} of guest ${guest} ${job.phase === 'running' ? 'is being ended' : 'has ended'}.`);
    });
