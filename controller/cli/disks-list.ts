/** `felhom-controller disks list`: the host's drives as this guest may see them. Changes nothing. */
import { Command } from 'commander';
import type { Disks } from '#shared/wire/disks';
import type { FlowPorts } from '../disks/flow.ts';
import { type ConfigOption, withFlow } from './disks-run.ts';
import { DEFAULT_CONFIG, EXIT, type Io } from './io.ts';

/** Loaded only now: an idle loop carries nothing of this. */
const load = async () => {
  const [{ listDisks }, { isCertain, renderDisks }, { inertJsonLines }] = await Promise.all([
    import('#shared/wire/disks'),
    import('../disks/screen.ts'),
    import('#shared/inert'),
  ]);
  return { listDisks, isCertain, renderDisks, inertJsonLines };
};

interface Options extends ConfigOption {
  json?: true;
}

const list = async ({ config, json }: Options, io: Io): Promise<void> => {
  const { listDisks, isCertain, renderDisks, inertJsonLines } = await load();
  let columns = 0;
  const ask = ({ agent, talk, signal }: FlowPorts): Promise<Disks> => {
    columns = talk.columns;
    return agent.call(listDisks, { signal });
  };
  const listing = await withFlow(config, io, ask, json);
  if (listing === null) return io.exit(EXIT.error);
  const exit_status = isCertain(listing) ? EXIT.well : EXIT.attention;
  io.out(json ? `${inertJsonLines({ ...listing, error: null, exit_status })}\n` : renderDisks(listing, columns));
  io.exit(exit_status);
};

export const disksListCommand = (io: Io): Command =>
  new Command('list')
    .description('which drives there are, what is on them, whose they are, and what can be done with them; changes nothing')
    .option('--config <file>', 'settings', DEFAULT_CONFIG)
    .option('--json', 'everything as one JSON document')
    .addHelpText('after', '\nExit status: 0 shown, 2 shown, but not certain or not complete (it says why), 1 error.')
    .action((options: Options) => list(options, io));
