/** `felhom-agent serve`. */
import { Command } from 'commander';
import { describeProblem } from '../config.ts';
import { systemJournal as journal } from '../ports/journal.ts';
import type { RunningAgent } from '../serve.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { loadConfig, readConfigFile } from './load-config.ts';

/** All or nothing: a file with one bad value changes nothing. */
const reload = async (agent: RunningAgent, path: string): Promise<void> => {
  try {
    const parsed = await readConfigFile(path);
    if (!parsed.ok) {
      for (const problem of parsed.problems) journal('error', `Not reloaded: ${describeProblem(problem)}`, { file: path });
      return;
    }
    const { atOnce, needRestart } = agent.reload(parsed.config);
    journal('notice', 'The configuration was reloaded.', { changed: atOnce.join(', ') || 'nothing' });
    if (needRestart.length > 0)
      journal('warning', 'Some changed keys wait for a restart of the agent.', { keys: needRestart.join(', ') });
  } catch (error) {
    journal('error', 'Not reloaded.', { file: path, cause: error instanceof Error ? error.message : String(error) });
  }
};

export const serveCommand = ({ exit }: Io): Command =>
  new Command('serve')
    .description('run the agent in the foreground; systemd does this')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nSIGHUP reloads the configuration, all of it or nothing: backup, limits, opsign.max_age and of disks filesystems, protect and guests at\n' +
        'once, the rest at the next start.\n' +
        'Exit status: 0 stopped by a signal, 1 it could not start.',
    )
    .action(async ({ config: path }: { config: string }) => {
      const config = await loadConfig(path);
      // Whoever reads the log may go away: the agent goes on without.
      process.stderr.on('error', () => undefined);
      // The commands beside this one need none of what the agent is made of.
      const starting = import('../serve.ts').then(({ startAgent }) => startAgent(config));
      // Before it runs: a signal that nobody takes ends the process, a reload in the first second as well.
      process.on('SIGHUP', () => {
        starting.then(
          (agent) => reload(agent, path),
          () => undefined,
        );
      });
      const stop = (): void => {
        process.off('SIGTERM', stop);
        process.off('SIGINT', stop);
        starting
          .then((agent) => agent.close())
          .then(
            () => exit(0),
            () => exit(1),
          );
      };
      process.on('SIGTERM', stop);
      process.on('SIGINT', stop);
      await starting;
    });
