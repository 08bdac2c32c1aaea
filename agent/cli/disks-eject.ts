/** `felhom-agent disks eject`. */
import { Command } from 'commander';
import { inert, inertJson } from '#shared/inert';
import { ejectDrive } from '#shared/wire/admin-disks';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

export const disksEjectCommand = ({ out, err }: Io): Command =>
  new Command('eject')
    .description("unmount a drive in its guest's stead, so that it can be pulled out; also where that guest is no more")
    .argument('<where>', 'where it is mounted on the host, as "disks show" says')
    .option('--json', 'print the outcome as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nRefused while anybody uses it, naming who. The drive stays the guest\'s own: "disks release" lets it go.\n\n' +
        'Exit status: 0 ejected, it may be pulled out; 1 refused or failed, it may not.',
    )
    .action(async (where: string, { json, config }: { json?: true; config: string }) => {
      const answer = await ask(ejectDrive, { config, body: { where } });
      if (json) return out(inertJson(answer));
      err(`The drive at ${inert(where)} was ejected: it may be pulled out.`);
    });
