/** `npm run demo`: a complete host on this machine: Proxmox's API simulated, agent and controller for real. */
import { parseArgs } from 'node:util';
import { runDemo } from './demo.ts';
import { prepareStateDir } from './state-dir.ts';

const USAGE = `npm run demo -- [options]

Starts a simulated Proxmox VE node, the felhom agent and a controller for guest 101, and takes one backup.
Stays up until Ctrl-C, and leaves nothing behind but its state directory. As root the node's drives are real: loop devices on files
below that directory; otherwise they are shown from samples, and nothing on them is changed. demo.json names them ("devices"), and
an operator's key ("opsign").

  --state DIR      where everything is kept (default: .demo)
  --port-base N    Proxmox's API on port N, the agent on N+1 (default: free ports)
  --guests N       how many guests the node has and the agent enrols, 1 to 50 (default: 1)
  --once           end after the first backup: status 0 when it succeeded, 1 when not
  --help           this text
`;

const wholeNumber = (option: string, text: string, low: number, high: number): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new Error(`--${option} takes a whole number from ${low} to ${high}, not "${text}".`);
  }
  return value;
};

const options = () => {
  const { values } = parseArgs({
    options: {
      state: { type: 'string', default: '.demo' },
      'port-base': { type: 'string' },
      guests: { type: 'string', default: '1' },
      once: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const portBase = values['port-base'];
  return {
    help: values.help,
    once: values.once,
    guests: wholeNumber('guests', values.guests, 1, 50),
    portBase: portBase === undefined ? 0 : wholeNumber('port-base', portBase, 1024, 65_534),
    state: values.state,
  };
};

try {
  const { help, state, ...rest } = options();
  if (help) process.stdout.write(USAGE);
  else process.exitCode = await runDemo({ ...rest, dir: await prepareStateDir(state) });
} catch (error) {
  process.stderr.write(`felhom demo: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
