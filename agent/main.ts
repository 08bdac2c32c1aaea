#!/usr/bin/env node
/** `felhom-agent`. */
import { agentProgram } from './cli/program.ts';

const io = {
  out: (line: string) => void process.stdout.write(`${line}\n`),
  err: (line: string) => void process.stderr.write(`${line}\n`),
  // Lets what was written reach its pipe.
  exit: (status: number) => {
    process.exitCode = status;
    setImmediate(() => process.exit());
  },
};

try {
  await agentProgram(io).parseAsync();
} catch (error) {
  io.err(`felhom-agent: ${error instanceof Error ? error.message : String(error)}`);
  io.exit(1);
}
