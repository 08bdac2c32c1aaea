/** `felhom-agent guest enroll`. */
import { Command } from 'commander';
import { enrollGuest } from '#shared/wire/admin';
import { ask } from './admin-client.ts';
import { printBootstrap, requirePrint } from './bootstrap-file.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { vmid } from './vmid.ts';

export const guestEnrollCommand = (io: Io): Command =>
  new Command('enroll')
    .description('make a token for a guest of this node, and show the bootstrap file that its controller needs')
    .argument('<vmid>', 'the guest', vmid)
    .option('--print', 'show the file on stdout; it cannot be shown again')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nA guest that is enrolled already is refused: its running controller would lose its token.\n' +
        'Use "guest rotate", or "guest revoke" or "guest remove" first.\n' +
        '\nA container gets one line in its configuration, so that drives show in it at /mnt/felhom. Where it has to be\n' +
        'restarted once for that, a sentence says so.\n\nExit status: 0 enrolled, 1 refused or failed.',
    )
    .action(async (guest: string, { print, config }: { print?: boolean; config: string }) => {
      requirePrint(print, `guest enroll ${guest}`);
      const { bootstrap, note } = await ask(enrollGuest, { config, params: { vmid: guest } });
      printBootstrap(bootstrap, io);
      if (note !== '') io.err(note);
    });
