/** `felhom-controller quiesce …`: what is held for backups, tried out and looked at. */
import { Command } from 'commander';
import type { Answered } from '../ports/quiesced.ts';
import { DEFAULT_CONFIG, EXIT, type Io } from './io.ts';
import { discoverCommand } from './quiesce-discover.ts';

interface Options {
  config: string;
  json?: boolean;
}

/** What it prints, whether that needs attention, and what to try where there is nothing. */
interface Screen<T> {
  render(data: T): string;
  needsAttention(data: T): boolean;
  nextOf(code: Extract<Answered<T>, { ok: false }>['code']): string;
}

const fail = (error: { code: string; sentence: string; next: string }, json: boolean, { out, err, exit }: Io): void => {
  if (json) out(`${JSON.stringify({ error, exit_status: EXIT.error }, null, 2)}\n`);
  err(`felhom-controller: ${error.sentence} (${error.code})\nTry: ${error.next}\n`);
  exit(EXIT.error);
};

const show = <T extends object>(data: T, { render, needsAttention }: Screen<T>, json: boolean, { out, exit }: Io): void => {
  const exit_status = needsAttention(data) ? EXIT.attention : EXIT.well;
  out(json ? `${JSON.stringify({ ...data, error: null, exit_status }, null, 2)}\n` : render(data));
  exit(exit_status);
};

const say = <T extends object>(answer: Answered<T>, screen: Screen<T>, json: boolean, io: Io): void => {
  if (answer.ok) show(answer.data, screen, json, io);
  else fail({ code: answer.code, sentence: answer.error, next: screen.nextOf(answer.code) }, json, io);
};

/** Loaded only now: an idle loop carries nothing of this. */
const load = async () => {
  const [{ loadConfig }, { askQuiesced, testQuiesce }, screens] = await Promise.all([
    import('../config.ts'),
    import('../quiesce.ts'),
    import('../health/quiesce-screens.ts'),
  ]);
  return { loadConfig, askQuiesced, testQuiesce, screens };
};

const test = async ({ config, json = false }: Options, io: Io): Promise<void> => {
  const { loadConfig, testQuiesce, screens } = await load();
  const { renderTrial: render, trialNeedsAttention: needsAttention, nextOf } = screens;
  say(await testQuiesce(await loadConfig(config)), { render, needsAttention, nextOf }, json, io);
};

const status = async ({ config, json = false }: Options, io: Io): Promise<void> => {
  const { loadConfig, askQuiesced, screens } = await load();
  const { renderQuiesceStatus: render, statusNeedsAttention: needsAttention, nextOf } = screens;
  say(await askQuiesced(await loadConfig(config)), { render, needsAttention, nextOf }, json, io);
};

const testCommand = (io: Io): Command =>
  new Command('test')
    .description('make every application ready, hold it and let it go, right now, and say how long each was held')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option('--json', 'everything as one JSON document')
    .addHelpText(
      'after',
      '\nApplications stand still for a moment, as in a backup; one with "hold: never" does not.\nExit status: 0 all is well, 2 something needs attention, 1 error (felhom-quiesced not reachable or busy, bad settings).',
    )
    .action((options: Options) => test(options, io));

const statusCommand = (io: Io): Command =>
  new Command('status')
    .description('which applications are held for backups, what is held now, and what is not back; changes nothing')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option('--json', 'everything as one JSON document')
    .addHelpText(
      'after',
      '\nExit status: 0 all is well, 2 something needs attention, 1 error (felhom-quiesced not reachable, bad settings).',
    )
    .action((options: Options) => status(options, io));

export const quiesceCommand = (io: Io): Command =>
  new Command('quiesce')
    .description('how the applications of this guest are held still for backups')
    .addCommand(testCommand(io))
    .addCommand(statusCommand(io))
    .addCommand(discoverCommand(io));
