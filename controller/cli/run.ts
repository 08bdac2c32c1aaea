/** `felhom-controller run`: the backup loop, until a signal ends it. */
import { Command } from 'commander';
import { DEFAULT_CONFIG, EXIT, type Io } from './io.ts';

const END_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

const run = async (file: string, { exit }: Io): Promise<void> => {
  const [{ loadConfig }, { startController }] = await Promise.all([import('../config.ts'), import('../run.ts')]);
  // Whoever reads the log may go away: that must not keep an application held.
  process.stderr.on('error', () => undefined);
  const controller = await startController(await loadConfig(file), { prefixed: process.env.JOURNAL_STREAM !== undefined });
  let asked = false;
  for (const signal of END_SIGNALS) {
    process.on(signal, () => {
      // Asked twice: whatever is held then is let go by the next start.
      if (asked) exit(EXIT.error);
      asked = true;
      controller.stop().catch(() => undefined);
    });
  }
  await controller.done;
  exit(EXIT.well);
};

export const runCommand = (io: Io): Command =>
  new Command('run')
    .description('hold the applications of this guest while the host takes its backups; runs until it is stopped')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .addHelpText('after', '\nSIGTERM lets go whatever is held, then ends.\nExit status: 0 stopped, 1 error.')
    .action(({ config }: { config: string }) => run(config, io));
