/** `felhom-agent backup verify`. */
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { type VerifyState, verifyBackup, verifyProgress } from '#shared/wire/admin-backups';
import { ask } from './admin-client.ts';
import { CommandFailed, DEFAULT_CONFIG, type Io } from './io.ts';
import { volid } from './volid.ts';
import { span, verifiedSentence } from './words.ts';

/** 1 is kept for errors. */
const EXIT = { whole: 0, notProved: 2 } as const;
const POLL_MS = 1000;
/** Somebody who waits for an hour wants to know that it goes on. */
const TALK_SECONDS = 60;

const untilRead = async (begun: VerifyState, config: string, { err }: Io): Promise<VerifyState> => {
  let state = begun;
  let why = '';
  const since = performance.now();
  for (let told = 0; state.running; ) {
    await pause(POLL_MS);
    state = await ask(verifyProgress, { config, query: { volid: begun.volid } });
    if (state.running && state.error !== why) err(state.error);
    why = state.error;
    const seconds = (performance.now() - since) / 1000;
    if (!state.running || seconds < told + TALK_SECONDS) continue;
    told = seconds;
    err(`Still reading, for ${span(seconds)}.`);
  }
  return state;
};

export const backupVerifyCommand = (io: Io): Command =>
  new Command('verify')
    .description('read an archive to its end, and say whether it is whole')
    .argument('<volid>', 'the archive, as "backup list" shows it', volid)
    .option('--json', 'print the outcome as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nIt is read at idle priority by the agent, also when this command is ended with Ctrl-C.\n\n' +
        'Exit status: 0 whole, 2 damaged or of a kind that cannot be read here, 1 error.',
    )
    .action(async (archive: string, { json, config }: { json?: true; config: string }) => {
      const begun = await ask(verifyBackup, { config, body: { volid: archive } });
      if (begun.running) io.err('The archive is being read to its end. That takes about as long as writing it did.');
      const state = await untilRead(begun, config, io);
      // Nothing was found out: that is no verdict.
      if (state.verification === 'pending' && state.error !== '') throw new CommandFailed(`${state.volid}: ${state.error}`);
      if (json) io.out(JSON.stringify(state));
      else io.out(`${state.volid}: ${verifiedSentence({ ...state, verification_error: state.error })}`);
      io.exit(state.verification === 'ok' ? EXIT.whole : EXIT.notProved);
    });
