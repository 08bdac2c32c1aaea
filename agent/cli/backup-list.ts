/** `felhom-agent backup list`. */
import { Command } from 'commander';
import { listBackups } from '#shared/wire/admin-backups';
import type { Archives } from '#shared/wire/archives';
import { ask } from './admin-client.ts';
import { forEachGuest } from './enrolled.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { table } from './table.ts';
import { vmid } from './vmid.ts';
import { bytes, span, time, verified } from './words.ts';

type Listing = Pick<Archives, 'vmid' | 'backups' | 'age_seconds'>;

/** Page after page. */
const listingOf = async (guest: string, config: string): Promise<Listing> => {
  const backups: Archives['backups'] = [];
  for (let after = ''; ; ) {
    const page = await ask(listBackups, { config, query: { vmid: guest, ...(after === '' ? {} : { after }) } });
    backups.push(...page.backups);
    if (page.next === '' || page.next === after) return { vmid: page.vmid, backups, age_seconds: page.age_seconds };
    after = page.next;
  }
};

const render = (guests: readonly Listing[]): string[] =>
  table([
    ['VMID', 'MADE', 'SIZE', 'LABEL', 'SOURCE', 'VERIFIED', 'PROTECTED', 'ARCHIVE'],
    ...guests.flatMap(({ vmid: guest, backups }) =>
      backups.map((one) => [
        String(guest),
        time(one.created_at),
        bytes(one.size_bytes),
        one.label,
        one.source,
        verified(one),
        one.protected ? 'yes' : '-',
        one.volid,
      ]),
    ),
  ]);

const OLD_SECONDS = 120;

export const backupListCommand = (io: Io): Command =>
  new Command('list')
    .description('show the archives, newest first, and what each can be trusted for')
    .argument('[vmid]', 'one guest; every enrolled one where it is left out', vmid)
    .option('--json', 'print them as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nLabels: "app" the applications were consistent, by the word of the guest; "filesystem" the file systems were;\n' +
        '"crash" as after a power cut; "stopped" the guest was not running.\n\nExit status: 0 shown, 1 failed.',
    )
    .action(async (named: string | undefined, { json, config }: { json?: true; config: string }) => {
      const guests = await forEachGuest({ named, config }, io, (guest) => listingOf(guest, config));
      if (json) return io.out(JSON.stringify({ guests }));
      if (guests.some(({ backups }) => backups.length > 0)) for (const line of render(guests)) io.out(line);
      for (const { vmid: guest, backups, age_seconds } of guests) {
        if (backups.length === 0)
          io.err(`Guest ${guest} has no archive. "felhom-agent backup due" says when the next backup comes.`);
        if (age_seconds !== null && age_seconds > OLD_SECONDS)
          io.err(`The storage could not be listed now: what is shown of guest ${guest} is ${span(age_seconds)} old.`);
      }
    });
