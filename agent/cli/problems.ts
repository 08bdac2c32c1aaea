/** `felhom-agent problems`. */
import { Command } from 'commander';
import { listProblems } from '#shared/wire/admin-backups';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { problemLines } from './problem-lines.ts';

/** 1 is kept for errors. */
const EXIT = { none: 0, some: 2 } as const;

export const problemsCommand = ({ out, err, exit }: Io): Command =>
  new Command('problems')
    .description('show what is wrong now, each with one thing to do; changes nothing')
    .option('--json', 'print them as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 none, 2 some, 1 error.')
    .action(async ({ json, config }: { json?: true; config: string }) => {
      const answer = await ask(listProblems, { config });
      if (json) out(JSON.stringify(answer));
      else if (answer.problems.length === 0) err('Nothing is wrong that the agent knows of.');
      else for (const line of problemLines(answer.problems)) out(line);
      exit(answer.problems.length === 0 ? EXIT.none : EXIT.some);
    });
