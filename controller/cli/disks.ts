/** `felhom-controller disks …`: the drives of this guest. */
import { Command } from 'commander';
import { disksAssignCommand } from './disks-assign.ts';
import { disksEjectCommand } from './disks-eject.ts';
import { disksFormatCommand } from './disks-format.ts';
import { disksJobCommand } from './disks-job.ts';
import { disksListCommand } from './disks-list.ts';
import type { Io } from './io.ts';

export const disksCommand = (io: Io): Command =>
  new Command('disks')
    .description('the drives of this guest: see, connect, eject and format them')
    .addCommand(disksListCommand(io))
    .addCommand(disksAssignCommand(io))
    .addCommand(disksEjectCommand(io))
    .addCommand(disksFormatCommand(io))
    .addCommand(disksJobCommand(io));
