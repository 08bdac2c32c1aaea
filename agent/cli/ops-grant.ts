/** `felhom-agent ops grant`. */
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { inert, inertJson } from '#shared/inert';
import { grantAnyOp, showFormat } from '#shared/wire/admin-ops';
import type { FormatJob } from '#shared/wire/jobs';
import { ask } from './admin-client.ts';
import { grantLine } from './grant-line.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

/** 1 is kept for errors. */
const EXIT = { done: 0, failed: 2 } as const;
const POLL_MS = 1000;
/** The drive may have to spin up first. */
const PATIENCE_MS = 60_000;

const followed = async (begun: FormatJob, config: string, { err }: Io): Promise<FormatJob> => {
  let job = begun;
  let said = '';
  while (job.state === 'running') {
    if (job.phase !== said) err(`Still at it: ${inert(job.phase)}.`);
    said = job.phase;
    await pause(POLL_MS);
    job = await ask(showFormat, { config, query: { id: job.job_id } });
  }
  return job;
};

const drive = ({ device, model, serial }: FormatJob): string => inert(`${device} (${model}, serial ${serial})`);

export const opsGrantCommand = (io: Io): Command =>
  new Command('grant')
    .description("carry the operator's signature: the drive that it was signed for is erased, once")
    .argument('[file]', 'the line that felhom-opsign printed; "-" or nothing: paste it', '-')
    .option('--no-wait', 'only begin')
    .option('--json', 'print the outcome as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nThe signature says which drive, so nothing else is asked. It is refused, and stays good, while the drive is in use or is not what\n' +
        'it was when the signature was asked for. Ctrl-C ends this command and not what was begun.\n\n' +
        'Exit status: 0 erased and formatted, or begun with --no-wait; 2 begun, but it failed; 1 refused: nothing was erased.',
    )
    .action(async (file: string, { wait, json, config }: { wait: boolean; json?: true; config: string }) => {
      const { out, err, exit } = io;
      if (file === '-' && process.stdin.isTTY) err('Paste the one line that felhom-opsign printed, then press Enter:');
      const begun = await ask(grantAnyOp, { config, body: { grant: await grantLine(file) }, patienceMs: PATIENCE_MS });
      err(`The signature was accepted. ${drive(begun)} is being erased.`);
      const job = wait ? await followed(begun, config, io) : begun;
      if (json) out(inertJson(job));
      else if (job.state === 'done') out(`${drive(job)} is erased and holds an empty ${job.fstype} (${inert(job.durable_id)}).`);
      else if (job.state !== 'running') err(`It did not come to its end: ${inert(job.error)}`);
      exit(job.state === 'done' || job.state === 'running' ? EXIT.done : EXIT.failed);
    });
