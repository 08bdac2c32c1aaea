/** `npm run bench`: what felhom costs on this machine, as a table and as bench.json. Never a test. */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Measure } from './measure.ts';
import { adapters } from './measures/adapters.ts';
import { connections } from './measures/connections.ts';
import { disks } from './measures/disks.ts';
import { due } from './measures/due.ts';
import { duty } from './measures/duty.ts';
import { format } from './measures/format.ts';
import { held } from './measures/held.ts';
import { idle } from './measures/idle.ts';
import { metrics } from './measures/metrics.ts';
import { release } from './measures/release.ts';
import { start } from './measures/start.ts';
import { throughput } from './measures/throughput.ts';
import { document, machine, type Outcome, table } from './report.ts';
import { createScope, type Scope } from './scope.ts';

const MEASURES: readonly Measure[] = [
  start,
  idle,
  metrics,
  throughput,
  connections,
  release,
  held,
  adapters,
  due,
  duty,
  disks,
  format,
];
const FILE = 'bench.json';

const USAGE = `npm run bench -- [options]

Measures the real programs against a simulated Proxmox VE node on this machine's loopback. Takes about half an hour.
Prints a table and writes ${FILE} into the current directory.

  --only NAME   only this measure; may be repeated:
${MEASURES.map(({ name, about }) => `                  ${name.padEnd(12)} ${about}`).join('\n')}
  --quick       shorter: for trying the bench itself, its figures are coarse
  --help        this text

Exit status: 0 when everything was measured, also where a budget is missed; 1 when something could not be measured.
`;

const options = () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const unknown = values.only.find((name) => !MEASURES.some((measure) => measure.name === name));
  if (unknown !== undefined) throw new Error(`there is no measure "${unknown}"; see --help`);
  return { ...values, measures: MEASURES.filter(({ name }) => values.only.length === 0 || values.only.includes(name)) };
};

const say = (line: string) => void process.stderr.write(`${line}\n`);

/** What is running now; a signal ends it and then the bench. */
let current: Scope | null = null;

const endOn = (signal: NodeJS.Signals, status: number): void => {
  process.once(signal, () => {
    say('\nbench: stopping');
    void (current?.dispose() ?? Promise.resolve()).finally(() => process.exit(status));
  });
};

const take = async ({ name, about, run }: Measure, quick: boolean): Promise<Outcome> => {
  const scope = createScope();
  current = scope;
  const began = performance.now();
  const ended = (): { measure: string; seconds: number } => ({ measure: name, seconds: (performance.now() - began) / 1000 });
  say(`${name}: ${about}`);
  try {
    const figures = await run({ scope, quick, say: (line) => say(`  ${line}`) });
    return { ...ended(), figures, failed: '' };
  } catch (error) {
    const failed = error instanceof Error ? error.message : String(error);
    say(`  could not be measured: ${failed}`);
    return { ...ended(), figures: [], failed };
  } finally {
    await scope.dispose();
  }
};

const main = async (): Promise<number> => {
  const { help, quick, measures } = options();
  if (help) {
    process.stdout.write(USAGE);
    return 0;
  }
  endOn('SIGINT', 130);
  endOn('SIGTERM', 143);
  const facts = { date: new Date().toISOString(), quick, machine: machine() };
  const outcomes: Outcome[] = [];
  for (const measure of measures) outcomes.push(await take(measure, quick));

  const { node, cpu, cores, load_average } = facts.machine;
  const failures = outcomes.filter(({ failed }) => failed !== '');
  process.stdout.write(
    [
      '',
      `felhom bench, ${facts.date}: Node.js ${node}, ${cores} × ${cpu}, load average ${load_average} at the start`,
      ...(quick ? ['QUICK RUN: shorter, its figures are coarse'] : []),
      '',
      table(outcomes.flatMap(({ figures }) => figures)),
      ...failures.map(({ measure, failed }) => `${measure}: could not be measured: ${failed}`),
      '',
    ].join('\n'),
  );
  writeFileSync(FILE, `${JSON.stringify(document(outcomes, facts), null, 2)}\n`);
  return failures.length === 0 ? 0 : 1;
};

try {
  process.exitCode = await main();
} catch (error) {
  say(`felhom bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
