/** `felhom-agent guest list`. */
import { Command } from 'commander';
import { type EnrolledGuests, listGuests } from '#shared/wire/admin';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { table } from './table.ts';

const render = ({ guests }: EnrolledGuests): string[] =>
  table([
    ['VMID', 'STATE', 'ENROLLED', 'LAST SEEN', 'SCOPES'],
    ...guests.map((guest) => [
      String(guest.vmid),
      guest.state,
      guest.enrolled_at,
      guest.last_seen_at ?? 'not since the agent started',
      guest.scopes.join(','),
    ]),
  ]);

export const guestListCommand = ({ out, err }: Io): Command =>
  new Command('list')
    .description('show the enrolled guests')
    .option('--json', 'print them as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 shown, 1 failed.')
    .action(async ({ json, config }: { json?: true; config: string }) => {
      const answer = await ask(listGuests, { config });
      if (json) out(JSON.stringify(answer));
      else if (answer.guests.length === 0)
        err('No guest is enrolled. Enrol one with "felhom-agent guest enroll <vmid> --print".');
      else for (const line of render(answer)) out(line);
    });
