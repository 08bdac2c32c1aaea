/** `felhom-agent config check`. */
import { Command } from 'commander';
import { type AgentConfig, describeProblem } from '../config.ts';
import { namedBy } from '../disks/inventory/identity.ts';
import { isDriveDevice } from '../disks/inventory/kinds.ts';
import { unmatched } from '../disks/inventory/protect.ts';
import { createSysfs } from '../ports/sysfs.ts';
import { createUdevDb } from '../ports/udev-db.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { readConfigFile } from './load-config.ts';

/** 1 is kept for errors. */
const EXIT = { good: 0, problems: 2 } as const;

/** Entries of `disks.protect` that mean no drive which is plugged in now. No drive is touched, no agent asked. */
const meanNothingNow = async ({ protect, loopDrives, udevDir }: AgentConfig['disks']): Promise<string[]> => {
  if (protect.length === 0) return [];
  const drives = (await createSysfs().kernelDevices()).filter((device) => isDriveDevice(device, loopDrives));
  const udev = await createUdevDb(udevDir).read(drives);
  return unmatched(
    protect,
    drives.map((device) => namedBy({ device, udev })),
    [],
  );
};

const protectNotes = async (disks: AgentConfig['disks']): Promise<string[]> => {
  try {
    const entries = await meanNothingNow(disks);
    return entries.map(
      (entry) => `disks.protect: ${entry} matches no drive that is plugged in now. Is it as "felhom-agent disks list" shows it?`,
    );
  } catch {
    return ['disks.protect: which drives are plugged in cannot be read here. Run this as root on the host.'];
  }
};

export const configCheckCommand = ({ out, err, exit }: Io): Command =>
  new Command('check')
    .description('tell what is wrong with the configuration; starts and changes nothing')
    .option('--config <file>', 'the file to check', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nEntries of disks.protect that match no drive which is plugged in now are told too; the drive may be elsewhere for the moment, so\n' +
        'the file is good all the same.\n\nExit status: 0 good, 2 problems found, 1 the file cannot be read.',
    )
    .action(async ({ config }: { config: string }) => {
      const parsed = await readConfigFile(config);
      if (parsed.ok) {
        for (const note of await protectNotes(parsed.config.disks)) err(note);
        return err(`${config} is good.`);
      }
      for (const problem of parsed.problems) out(describeProblem(problem));
      exit(EXIT.problems);
    });
