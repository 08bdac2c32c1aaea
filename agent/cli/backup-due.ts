/** `felhom-agent backup due`. */
import { Command } from 'commander';
import { backupsDue, type DutyOverview, listProblems } from '#shared/wire/admin-backups';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { problemLines } from './problem-lines.ts';
import { table } from './table.ts';
import { time } from './words.ts';

type Row = DutyOverview['guests'][number];

const state = ({ due, offered_until }: Row): string => {
  if (offered_until !== null) return `offered until ${time(offered_until)}`;
  return due ? 'now' : 'no';
};

const render = (guests: readonly Row[]): string[] =>
  table([
    ['VMID', 'DUE', 'NEXT', 'LAST GOOD', 'FAILURES', 'WHY'],
    ...guests.map((row) => [
      String(row.vmid),
      state(row),
      time(row.next_at),
      time(row.last_good_at, 'none'),
      String(row.failures),
      row.reason,
    ]),
  ]);

export const backupDueCommand = ({ out, err }: Io): Command =>
  new Command('due')
    .description('show for every guest when its next backup comes, why it waits, and what is wrong')
    .option('--json', 'print it as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 shown, 1 failed.')
    .action(async ({ json, config }: { json?: true; config: string }) => {
      const overview = await ask(backupsDue, { config });
      const { problems } = await ask(listProblems, { config });
      if (json) return out(JSON.stringify({ ...overview, problems }));
      if (overview.guests.length === 0) err('No guest is enrolled. Enrol one with "felhom-agent guest enroll <vmid> --print".');
      else for (const line of render(overview.guests)) out(line);
      if (overview.busy !== '') err(`The backup slot of this node is taken: ${overview.busy}`);
      if (problems.length > 0) out('');
      for (const line of problemLines(problems)) out(line);
    });
