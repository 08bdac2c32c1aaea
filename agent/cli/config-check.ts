/** `felhom-agent config check`. */
import { Command } from 'commander';
import { describeProblem } from '../config.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { readConfigFile } from './load-config.ts';

/** 1 is kept for errors. */
const EXIT = { good: 0, problems: 2 } as const;

export const configCheckCommand = ({ out, err, exit }: Io): Command =>
  new Command('check')
    .description('tell what is wrong with the configuration; starts and changes nothing')
    .option('--config <file>', 'the file to check', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 good, 2 problems found, 1 the file cannot be read.')
    .action(async ({ config }: { config: string }) => {
      const parsed = await readConfigFile(config);
      if (parsed.ok) return err(`${config} is good.`);
      for (const problem of parsed.problems) out(describeProblem(problem));
      exit(EXIT.problems);
    });
