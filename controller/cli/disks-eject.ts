/** `felhom-controller disks eject`. */
import { Command } from 'commander';
import { type ConfigOption, runFlow } from './disks-run.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

export const disksEjectCommand = (io: Io): Command =>
  new Command('eject')
    .description('take a drive from this guest, so that it can be pulled out')
    .argument('<name>', 'the name it was connected under, its place (/mnt/felhom/<name>), or the drive itself')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      `
Refused while anything uses it; whatever does is named. Pull the drive out only after it says that you may.

Exit status: 0 ejected, 1 refused or failed (it says why), 5 it cannot be known whether it is: leave it plugged in, ask again.`,
    )
    .action((name: string, { config }: ConfigOption) =>
      runFlow(config, io, async (ports) => {
        const { createEject } = await import('../disks/eject.ts');
        return createEject(ports)(name);
      }),
    );
