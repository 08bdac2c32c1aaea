#!/usr/bin/env node
/** `felhom-opsign`, the operator's offline tool. */
import { isatty } from 'node:tty';
import { type Asked, readArguments, UsageError } from './arguments.ts';
import { OpsignFailed } from './failed.ts';
import { HELP } from './help.ts';
import { inspect } from './inspect.ts';
import type { Io } from './io.ts';
import { defaultKeyFile } from './key-file.ts';
import { keygen } from './keygen.ts';
import { pubkey } from './pubkey.ts';
import { signing } from './signing.ts';
import { readInput, writeLine } from './stdio.ts';
import { Interrupted, openTerminal } from './terminal.ts';
import { verify } from './verify.ts';
import { VERSION } from './version.ts';

const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

const io: Io = {
  out: (line) => writeLine(process.stdout, line),
  err: (line) => void process.stderr.write(`${line}\n`),
  talkIsSeen: isatty(2),
  readIn: () => readInput(process.stdin),
};

const run = ({ command, options, line }: Asked): Promise<void> => {
  const given = (name: string): string => options.get(name) ?? '';
  const keyFile = options.get('key') ?? defaultKeyFile();
  switch (command) {
    case 'help':
      return io.out(HELP);
    case 'version':
      return io.out(VERSION);
    case 'keygen':
      return keygen({ file: keyFile, name: given('name') }, io, openTerminal);
    case 'pubkey':
      return pubkey(keyFile, io);
    case 'inspect':
      return inspect(line, io);
    case 'verify':
      return verify(line, given('keys'), io, Date.now);
    case 'sign':
      return signing(
        { op: given('op'), host: given('host'), durableId: given('durable-id'), keyFile },
        io,
        openTerminal,
        Date.now,
      );
  }
};

/** @returns the exit status */
const failed = (error: unknown): number => {
  if (error instanceof Interrupted) {
    io.err('felhom-opsign: ended with Ctrl-C; nothing was signed or made.');
    return EXIT.interrupted;
  }
  if (error instanceof UsageError) {
    io.err(`felhom-opsign: ${error.message} See "felhom-opsign --help".`);
    return EXIT.usage;
  }
  io.err(`felhom-opsign: ${error instanceof OpsignFailed ? error.message : `something unforeseen went wrong: ${String(error)}`}`);
  return EXIT.failed;
};

try {
  await run(readArguments(process.argv.slice(2)));
} catch (error) {
  process.exitCode = failed(error);
}
