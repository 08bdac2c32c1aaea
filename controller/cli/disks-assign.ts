/** `felhom-controller disks assign`. */
import { Command } from 'commander';
import { type ConfigOption, runFlow } from './disks-run.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

interface Options extends ConfigOption {
  name: string;
  readOnly?: true;
}

const assign = (drive: string, { config, name, readOnly }: Options, io: Io): Promise<void> =>
  runFlow(config, io, async (ports) => {
    const { createAssign } = await import('../disks/assign.ts');
    return createAssign(ports)({ drive, name, readOnly: readOnly === true });
  });

export const disksAssignCommand = (io: Io): Command =>
  new Command('assign')
    .description('connect a drive to this guest, now and whenever it is plugged in')
    .argument('<drive>', 'as "disks list" shows it: its name, serial number or label')
    .requiredOption('--name <name>', 'what to call it here: its files are then at /mnt/felhom/<name>')
    .option('--read-only', 'nothing can be written to it')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      `
What is on the drive stays as it is. It becomes this guest's own: no other guest can have it from then on.

Exit status: 0 connected, 1 refused or failed (it says why), 5 it cannot be known whether it is: ask again.`,
    )
    .action((drive: string, options: Options) => assign(drive, options, io));
