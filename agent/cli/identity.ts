/** `felhom-agent identity`. */
import { Command } from 'commander';
import { stateFilesIn } from '../ports/state-files.ts';
import { readIdentity } from '../trust/identity.ts';
import { VERSION } from '../version.ts';
import { CommandFailed, DEFAULT_CONFIG, type Io } from './io.ts';
import { loadConfig } from './load-config.ts';

export const identityCommand = ({ out }: Io): Command =>
  new Command('identity')
    .description("show this host's id and the fingerprint that guests pin; reads the files, so the agent need not run")
    .option('--json', 'print it as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText('after', '\nExit status: 0 shown, 1 nothing was made yet or it cannot be read.')
    .action(async ({ json, config }: { json?: true; config: string }) => {
      const { stateDir, hostId: configured } = await loadConfig(config);
      const { hostId, fingerprint } = await readIdentity(stateFilesIn(stateDir), configured);
      if (hostId === null || fingerprint === null) {
        throw new CommandFailed(
          `${stateDir} holds no identity yet: the agent makes it at its first start ("systemctl start felhom-agent").`,
        );
      }
      if (json) return out(JSON.stringify({ version: VERSION, host_scope: hostId, fingerprint }));
      out(`host id      ${hostId}`);
      out(`fingerprint  ${fingerprint}`);
      out(`version      ${VERSION}`);
    });
