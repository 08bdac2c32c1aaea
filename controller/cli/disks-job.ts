/** `felhom-controller disks job`: follows a format that was begun before. Changes nothing. */
import { Command } from 'commander';
import { type ConfigOption, runFlow } from './disks-run.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

export const disksJobCommand = (io: Io): Command =>
  new Command('job')
    .description('how a format goes, to its end, or how it ended; changes nothing')
    .argument('<job>', 'as "disks format" shows it')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nExit status: 0 it is done, 1 it failed (it says why), 5 it goes on, or it cannot be known how it ended.',
    )
    .action((job: string, { config }: ConfigOption) =>
      runFlow(config, io, async (ports) => {
        const [{ followJob }, { tellJob }] = await Promise.all([import('../disks/follow.ts'), import('../disks/tell-end.ts')]);
        return tellJob(ports, await followJob(ports, job));
      }),
    );
