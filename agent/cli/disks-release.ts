/** `felhom-agent disks release`. */
import { Command } from 'commander';
import { inert, inertJson } from '#shared/inert';
import { releaseDrive } from '#shared/wire/admin-disks';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';

export const disksReleaseCommand = ({ out, err }: Io): Command =>
  new Command('release')
    .description('take a drive from the guest that owns it; the next guest that may takes it, with all that is on it')
    .argument('<drive>', 'its kernel name, serial, WWN or durable id, as "disks list --json" shows them')
    .option('--json', 'print the drive as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nRefused while the drive is connected: it is ejected first. Nothing on it is erased.\n\nExit status: 0 released, 1 refused or failed.',
    )
    .action(async (named: string, { json, config }: { json?: true; config: string }) => {
      const { drive } = await ask(releaseDrive, { config, body: { drive: named } });
      if (json) return out(inertJson({ drive }));
      err(`${inert(drive.name)} is nobody's now. Guests named in disks.guests may take it, with what is on it.`);
    });
