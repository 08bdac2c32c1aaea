/** `felhom-agent disks smart`. */
import { createReadStream } from 'node:fs';
import { Command } from 'commander';
import { documentIn } from '../disks/smart/document.ts';
import { type SmartReading, smartReading } from '../disks/smart/parse.ts';
import { CommandFailed, type Io } from './io.ts';

/** 1 is kept for errors. */
const EXIT = { read: 0, noDocument: 2 } as const;

/** smartctl writes some hundred kilobytes at most. */
const MAX_BYTES = 16 << 20;

const cannotRead = (file: string, why: string): CommandFailed =>
  new CommandFailed(`${file} cannot be read: ${why} Save what "smartctl -j -a /dev/sdX" prints and name that file with --from.`);

const textOf = async (file: string): Promise<string> => {
  try {
    const pieces: Buffer[] = [];
    let bytes = 0;
    // A pipe or a device does not tell how much it holds.
    for await (const piece of createReadStream(file, { end: MAX_BYTES })) {
      pieces.push(piece as Buffer);
      bytes += (piece as Buffer).length;
    }
    if (bytes > MAX_BYTES) throw cannotRead(file, 'it is larger than anything that smartctl writes.');
    return Buffer.concat(pieces).toString('utf8');
  } catch (error) {
    if (error instanceof CommandFailed) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : '';
    if (code === 'ENOENT') throw cannotRead(file, 'there is no such file.');
    throw cannotRead(file, code === 'EISDIR' ? 'it is a directory.' : `${code === '' ? String(error) : String(code)}.`);
  }
};

const or = (figure: number | null, unit: string): string => (figure === null ? 'not known' : `${figure}${unit}`);

const lines = ({ health, temperature_c, percentage_used, power_on_hours, standby, reasons }: SmartReading): string[] => [
  `health       ${health}${standby ? ' (the drive sleeps)' : ''}`,
  `temperature  ${or(temperature_c, ' °C')}`,
  `used         ${or(percentage_used, ' % of its expected life')}`,
  `powered on   ${or(power_on_hours, ' h')}`,
  ...reasons.map((reason) => `- ${reason}`),
];

export const disksSmartCommand = ({ out, err, exit }: Io): Command =>
  new Command('smart')
    .description('tell what the agent makes of a saved "smartctl -j -a" output; asks no drive and needs no running agent')
    .requiredOption('--from <file>', 'the saved output')
    .option('--json', 'print it as one JSON document')
    .addHelpText('after', '\nExit status: 0 told, 2 the file holds no JSON document, 1 the file cannot be read.')
    .action(async ({ from, json }: { from: string; json?: true }) => {
      const document = documentIn(await textOf(from));
      const reading = smartReading(document);
      if (json) out(JSON.stringify(reading));
      else for (const line of lines(reading)) out(line);
      if (document === undefined) err(`${from} holds no JSON document. Was smartctl called with -j?`);
      exit(document === undefined ? EXIT.noDocument : EXIT.read);
    });
