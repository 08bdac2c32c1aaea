/** `felhom-agent ops grant`. */
import { setTimeout as pause } from 'node:timers/promises';
import { Command } from 'commander';
import { inert, inertJson } from '#shared/inert';
import { grantAnyOp, showFormat } from '#shared/wire/admin-ops';
import type { FormatJob } from '#shared/wire/jobs';
import { ask } from './admin-client.ts';
import { grantLine } from './grant-line.ts';
import { CommandFailed, DEFAULT_CONFIG, type Io } from './io.ts';

/** 1 is kept for errors. */
const EXIT = { done: 0, failed: 2, unknown: 3 } as const;
const POLL_MS = 1000;
/** The drive may have to spin up first. */
const PATIENCE_MS = 60_000;
/** An agent that is started anew. */
const AWAY_TRIES = 30;

/** Whether it was said; without an answer nothing is known of what was asked. */
const isSaid = (error: unknown): boolean => error instanceof CommandFailed && error.cause === undefined;

/** Nothing was asked of an agent that does not run. */
const isAway = ({ cause }: Error): boolean =>
  ['ENOENT', 'ECONNREFUSED'].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? '');

/** As far as it can be told: undefined where it may have been accepted, and nobody answers. Rejects where it is refused. */
const carried = async (grant: string, config: string, { err }: Io): Promise<FormatJob | undefined> => {
  try {
    return await ask(grantAnyOp, { config, body: { grant }, patienceMs: PATIENCE_MS });
  } catch (error) {
    if (!(error instanceof Error) || isSaid(error) || isAway(error)) throw error;
    err(
      `${error.message} Whether the signature was accepted is not known: when the agent answers again, look with "felhom-agent ops list".`,
    );
    return undefined;
  }
};

/** Undefined: nobody answers any more. */
const followed = async (begun: FormatJob, config: string, { err }: Io): Promise<FormatJob | undefined> => {
  let job = begun;
  let said = '';
  let away = 0;
  while (job.state === 'running') {
    if (job.phase !== said) err(`Still at it: ${inert(job.phase)}.`);
    said = job.phase;
    await pause(POLL_MS);
    try {
      job = await ask(showFormat, { config, query: { id: job.job_id } });
      away = 0;
    } catch (error) {
      away += 1;
      if (away < AWAY_TRIES && !isSaid(error)) continue;
      err(
        `${error instanceof Error ? error.message : String(error)} How it ends, "felhom-agent ops show ${inert(job.op_id)}" tells.`,
      );
      return undefined;
    }
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
        'Exit status: 0 erased and formatted, or begun with --no-wait; 2 begun, but it failed; 3 the agent gave no answer, so it may have been\n' +
        'begun; 1 refused, with the reason.',
    )
    .action(async (file: string, { wait, json, config }: { wait: boolean; json?: true; config: string }) => {
      const { out, err, exit } = io;
      if (file === '-' && process.stdin.isTTY) err('Paste the one line that felhom-opsign printed, then press Enter:');
      const begun = await carried(await grantLine(file), config, io);
      if (begun === undefined) return exit(EXIT.unknown);
      err(`The signature was accepted. ${drive(begun)} is being erased.`);
      const job = wait ? await followed(begun, config, io) : begun;
      if (job === undefined) return exit(EXIT.unknown);
      if (json) out(inertJson(job));
      else if (job.state === 'done') out(`${drive(job)} is erased and holds an empty ${job.fstype} (${inert(job.durable_id)}).`);
      else if (job.state !== 'running') err(`It did not come to its end: ${inert(job.error)}`);
      exit(job.state === 'done' || job.state === 'running' ? EXIT.done : EXIT.failed);
    });
