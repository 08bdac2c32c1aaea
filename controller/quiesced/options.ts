/** The command line: `felhom-quiesced serve|recover|status`. */
import { parseArgs } from 'node:util';

export const COMMANDS = ['serve', 'recover', 'status'] as const;
export type CommandName = (typeof COMMANDS)[number];

export interface Options {
  command: CommandName;
  config: string;
  stateDir: string;
  runtimeDir: string;
  /** Null: what systemd passes; for `status` the usual place. */
  listen: string | null;
}

export const USUAL_SOCKET = '/run/felhom-quiesced/socket';

export const USAGE = `Usage: felhom-quiesced serve|recover|status [options]

Holds the applications of quiesce.yaml for the moment of a backup, and always lets them go again.

Commands:
  serve    serve felhom-controller: on the socket that systemd passes, or on --listen
  recover  let go what an earlier start has left held, and end; at boot
  status   what is held now, and what is not back yet

Options:
  --config FILE       (default: /etc/felhom/quiesce.yaml)
  --state-dir DIR     where the lease is kept (default: /var/lib/felhom-quiesced)
  --runtime-dir DIR   gone after a reboot (default: /run/felhom-quiesced)
  --listen PATH       the socket, where systemd does not pass it (of status: ${USUAL_SOCKET})
  --help, --version

Exit status: 0 well, 1 error.
`;

export type Parsed = { kind: 'run'; options: Options } | { kind: 'help' | 'version' } | { kind: 'wrong'; error: string };

export const readOptions = (args: string[]): Parsed => {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        config: { type: 'string', default: '/etc/felhom/quiesce.yaml' },
        'state-dir': { type: 'string', default: '/var/lib/felhom-quiesced' },
        'runtime-dir': { type: 'string', default: '/run/felhom-quiesced' },
        listen: { type: 'string' },
        help: { type: 'boolean' },
        version: { type: 'boolean' },
      },
    });
    if (values.help) return { kind: 'help' };
    if (values.version) return { kind: 'version' };
    const command = COMMANDS.find((one) => one === positionals[0]);
    if (command === undefined || positionals.length !== 1)
      return { kind: 'wrong', error: `one of ${COMMANDS.join(', ')} is asked for` };
    const { config, 'state-dir': stateDir, 'runtime-dir': runtimeDir, listen = null } = values;
    return { kind: 'run', options: { command, config, stateDir, runtimeDir, listen } };
  } catch (error) {
    return { kind: 'wrong', error: (error as Error).message };
  }
};
