/** `felhom-agent guest rotate`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '#shared/settings';
import { rotateGuest } from '#shared/wire/admin';
import { ask } from './admin-client.ts';
import { printBootstrap, requirePrint } from './bootstrap-file.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { vmid } from './vmid.ts';

const LONGEST_SECONDS = 30 * 86_400;

const overlapSeconds = (text: string): number => {
  const ms = parseDuration(text);
  if (ms !== null && ms <= LONGEST_SECONDS * 1000) return Math.ceil(ms / 1000);
  throw new InvalidArgumentError('Write a number and its unit, at most 30 days: 0s, 90m, 24h, 7d.');
};

export const guestRotateCommand = (io: Io): Command =>
  new Command('rotate')
    .description('make a new token for an enrolled guest; the former one works until the overlap ends')
    .argument('<vmid>', 'the guest', vmid)
    .option('--print', 'show the new bootstrap file on stdout; it cannot be shown again')
    .addOption(
      new Option('--overlap <duration>', 'how long the former token still works; 0s if it was stolen')
        .argParser(overlapSeconds)
        .default(86_400, '24h'),
    )
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 rotated, 1 refused or failed.')
    .action(async (guest: string, { print, overlap, config }: { print?: boolean; overlap: number; config: string }) => {
      requirePrint(print, `guest rotate ${guest}`);
      const { bootstrap } = await ask(rotateGuest, { config, params: { vmid: guest }, body: { overlap_seconds: overlap } });
      printBootstrap(bootstrap, io);
    });
