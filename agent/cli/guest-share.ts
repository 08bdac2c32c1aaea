/** `felhom-agent guest share`. */
import { Command } from 'commander';
import { shareDrives } from '#shared/wire/admin';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { vmid } from './vmid.ts';

export const guestShareCommand = ({ err }: Io): Command =>
  new Command('share')
    .description('have the drives of an enrolled guest show inside it, at /mnt/felhom')
    .argument('<vmid>', 'the guest', vmid)
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nFor a container "guest enroll" has done it already; it may be done again after its configuration was changed.\n' +
        'A virtual machine gets a virtiofs share (Proxmox directory mapping felhom-<vmid>). With it, it can no longer be\n' +
        'moved while it runs, be hibernated, or have snapshots with its memory. Not tried on hardware yet.\n' +
        '\nExit status: 0 done, 1 refused or failed.',
    )
    .action(async (guest: string, { config }: { config: string }) => {
      const { note } = await ask(shareDrives, { config, params: { vmid: guest } });
      err(note === '' ? `Drives show in guest ${guest} at /mnt/felhom.` : note);
    });
