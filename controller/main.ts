#!/usr/bin/env node
/** felhom-controller: the program inside the guest. */
import { Command } from 'commander';
import { disksCommand } from './cli/disks.ts';
import { EXIT, type Io } from './cli/io.ts';
import { quiesceCommand } from './cli/quiesce.ts';
import { runCommand } from './cli/run.ts';
import { statusCommand } from './cli/status.ts';
import { VERSION } from './version.ts';

const io: Io = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  exit: (status) => process.exit(status),
};

const program = new Command('felhom-controller')
  .description("felhom in a guest: holds applications for the host's backups, says how host and backups are, and connects drives")
  .version(VERSION)
  .addCommand(runCommand(io))
  .addCommand(statusCommand(io))
  .addCommand(quiesceCommand(io))
  .addCommand(disksCommand(io));

try {
  await program.parseAsync();
} catch (error) {
  const { name, message, stack } = error as Error;
  const expected = ['ConfigError', 'StartRefused'].includes(name);
  io.err(`felhom-controller: ${expected ? message : stack}\n`);
  if (name === 'ConfigError') io.err('Correct it and start again; nothing was changed.\n');
  io.exit(EXIT.error);
}
