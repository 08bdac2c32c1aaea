/** `felhom-agent backup run`. */
import { Command } from 'commander';
import { runBackup } from '#shared/wire/admin-backups';
import type { BackupStatus } from '#shared/wire/backups';
import { ask } from './admin-client.ts';
import { followToEnd } from './follow.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { vmid } from './vmid.ts';
import { bytes } from './words.ts';

/** 1 is kept for errors. */
const EXIT = { done: 0, failed: 2 } as const;

const render = ({ archive, label, size_bytes, warnings }: BackupStatus): string[] => [
  `archive  ${archive}`,
  `label    ${label ?? 'unknown'}`,
  `size     ${size_bytes === null ? 'unknown' : bytes(size_bytes)}`,
  ...warnings.map((one) => `warning  ${one}`),
];

export const backupRunCommand = (io: Io): Command =>
  new Command('run')
    .description('back a guest up now, after the same checks as always, and follow it to its end')
    .argument('<vmid>', 'the guest', vmid)
    .option('--no-wait', 'only start it')
    .option('--json', 'print the outcome as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nThe applications in the guest are not held for it: its label is "filesystem" or "crash", or "stopped".\n' +
        'Ctrl-C ends this command and not the backup ("backup cancel" does that).\n\n' +
        'Exit status: 0 done, or started with --no-wait; 2 the backup failed; 1 refused, or it could not be followed.',
    )
    .action(async (guest: string, { wait, json, config }: { wait: boolean; json?: true; config: string }) => {
      const { out, err, exit } = io;
      const started = await ask(runBackup, { config, body: { vmid: Number(guest) } });
      err(`Backup ${started.job_id} of guest ${guest} runs.`);
      if (!wait) return json ? out(JSON.stringify(started)) : undefined;
      const ended = await followToEnd({ vmid: guest, jobId: started.job_id, config }, io);
      if (json) out(JSON.stringify(ended));
      else if (ended.phase === 'done') for (const line of render(ended)) out(line);
      else err(`The backup failed: ${ended.error}`);
      exit(ended.phase === 'done' ? EXIT.done : EXIT.failed);
    });
