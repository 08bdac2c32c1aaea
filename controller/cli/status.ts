/** `felhom-controller status`: one screen about host, storage, backup and this controller. Changes nothing. */
import { Command } from 'commander';
import { DEFAULT_CONFIG, EXIT, type Io } from './io.ts';

/** Loaded only now: an idle loop carries nothing of this. */
const load = async () => {
  const [{ loadConfig }, { askEverything }, { findings, whyNoAnswer }, { render }] = await Promise.all([
    import('../config.ts'),
    import('../status.ts'),
    import('../health/findings.ts'),
    import('../health/render.ts'),
  ]);
  return { loadConfig, askEverything, findings, whyNoAnswer, render };
};

const status = async (file: string, json: boolean, { out, err, exit }: Io): Promise<void> => {
  const { loadConfig, askEverything, findings, whyNoAnswer, render } = await load();
  const overview = await askEverything(await loadConfig(file));
  const attention = findings(overview);
  const noAnswer = whyNoAnswer(overview);
  const exitStatus = noAnswer ? EXIT.error : attention.length > 0 ? EXIT.attention : EXIT.well;
  const document = { ...overview, findings: attention, error: noAnswer, exit_status: exitStatus };
  out(json ? `${JSON.stringify(document, null, 2)}\n` : render(overview));
  if (noAnswer) err(`felhom-controller: ${noAnswer.sentence} (${noAnswer.code})\nTry: ${noAnswer.next}.\n`);
  exit(exitStatus);
};

export const statusCommand = (io: Io): Command =>
  new Command('status')
    .description('how the host, its storage and the backups of this guest are; changes nothing')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option('--json', 'everything as one JSON document')
    .addHelpText(
      'after',
      '\nExit status: 0 all is well, 2 something needs attention, 1 error (agent not reachable, bad settings).',
    )
    .action(({ config, json = false }: { config: string; json?: boolean }) => status(config, json, io));
