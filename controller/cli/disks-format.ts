/** `felhom-controller disks format`. */
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { type ConfigOption, runFlow } from './disks-run.ts';
import { DEFAULT_CONFIG, EXIT, type Io } from './io.ts';

interface Options extends ConfigOption {
  fstype: string;
  grantFile?: string;
}

const STDIN = 0;

/** Null, with the reason told, where it cannot be read. */
const readGrant = (file: string, { err }: Io): string | null => {
  try {
    return readFileSync(file === '-' ? STDIN : file, 'utf8');
  } catch (error) {
    err(`felhom-controller: ${file} cannot be read (${(error as NodeJS.ErrnoException).code}). Nothing was asked for.\n`);
    return null;
  }
};

const format = async (drive: string, { config, fstype, grantFile }: Options, io: Io): Promise<void> => {
  const grant = grantFile === undefined ? null : readGrant(grantFile, io);
  if (grantFile !== undefined && grant === null) return io.exit(EXIT.error);
  return runFlow(config, io, async (ports) => {
    const { createFormat } = await import('../disks/format.ts');
    return createFormat(ports)({ drive, fstype, grant });
  });
};

export const disksFormatCommand = (io: Io): Command =>
  new Command('format')
    .description('erase a whole drive and make an empty file system on it')
    .argument('<drive>', 'as "disks list" shows it: its name, serial number or label')
    .requiredOption('--fstype <type>', 'ext4, xfs, btrfs or exfat (exfat: also for other computers)')
    .option('--grant-file <file>', "the operator's line, where this drive needs one; - is standard input")
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      `
A drive that was proved empty is formatted at once. Where there is, or may be, anything on it, you are shown what, and type which
drive it is: its model and the end of its serial number. That needs a terminal; no option does it. A drive that the host or its
backups need is wiped only with the operator's signature: you are shown what to send them, and paste what they send back.

Ctrl-C while it goes on leaves it going on; "disks job" tells how it ended.

Exit status:
  0  formatted
  1  refused or failed; it says why
  3  it has to be confirmed at a terminal; nothing was erased
  4  it needs the operator's signature, or another one; nothing was erased
  5  it goes on, or it cannot be known how it ended: leave the drive plugged in and ask again`,
    )
    .action((drive: string, options: Options) => format(drive, options, io));
