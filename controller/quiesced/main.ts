#!/usr/bin/env node
/** felhom-quiesced: the root helper inside the guest that holds applications and always lets them go. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { versionFrom } from '#shared/version';
import { askStatus } from './ask-status.ts';
import { type Options, readOptions, USAGE, USUAL_SOCKET } from './options.ts';
import { type Program, recover, serve } from './serve.ts';
import { passedSocket } from './systemd.ts';

/** Of the child of one application: it carries a driver, and little else. */
const CHILD_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=64', '--optimize-for-size'];

const program: Program = {
  version: versionFrom(import.meta.url, (place) => readFileSync(place, 'utf8')),
  child: {
    path: fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './child.ts' : './child.js', import.meta.url)),
    // How sources are loaded goes on to the child; of two heap sizes the last counts.
    execArgv: [...process.execArgv, ...CHILD_FLAGS],
  },
};

const run = async (options: Options): Promise<void> => {
  const { command, listen } = options;
  if (command === 'status') {
    process.stdout.write(await askStatus(listen ?? USUAL_SOCKET));
    return;
  }
  if (command === 'recover') return recover(options, program);
  const socket = listen ?? passedSocket(process.env, process.pid);
  if (socket === null) throw new Error('systemd passes no socket here; where should it listen? (--listen PATH)');
  // Not for its children, nor for the commands they run.
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete process.env[name];
  await serve(options, socket, program);
};

const fail = (text: string): never => {
  process.stderr.write(`felhom-quiesced: ${text}\n`);
  process.exit(1);
};

const parsed = readOptions(process.argv.slice(2));
if (parsed.kind === 'help') process.stdout.write(USAGE);
else if (parsed.kind === 'version') process.stdout.write(`${program.version}\n`);
else if (parsed.kind === 'wrong') fail(`${parsed.error}\n\n${USAGE}`);
else if (parsed.kind === 'run') {
  try {
    await run(parsed.options);
    process.exit(0);
  } catch (error) {
    fail((error as Error).message);
  }
}
