/** `felhom-controller quiesce discover`: a quiesce.yaml from what runs in this guest. Changes nothing. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { EXIT, type Io } from './io.ts';

const TARGET = '/etc/felhom/quiesce.yaml';

/** Loaded only now: an idle loop carries nothing of this. */
const load = async () => {
  const [{ scanGuest }, { propose }, { renderWarnings, renderYaml }] = await Promise.all([
    import('../ports/guest-scan.ts'),
    import('../discover/propose.ts'),
    import('../discover/render.ts'),
  ]);
  return { scanGuest, propose, renderWarnings, renderYaml };
};

interface Options {
  json?: boolean;
  docker: string;
}

const discover = async ({ json = false, docker }: Options, { out, err, exit }: Io): Promise<void> => {
  const { scanGuest, propose, renderWarnings, renderYaml } = await load();
  const proposal = propose(await scanGuest({ proc: '/proc', docker }));
  const complete = proposal.uncovered.length === 0 && proposal.unseen.length === 0;
  const exitStatus = complete ? EXIT.well : EXIT.attention;
  out(json ? `${JSON.stringify({ ...proposal, exit_status: exitStatus }, null, 2)}\n` : renderYaml(proposal));
  if (!json) err(renderWarnings(proposal));
  if (!json && existsSync(TARGET)) err(`There is a ${TARGET} already: compare before you replace it.\n`);
  exit(exitStatus);
};

export const discoverCommand = (io: Io): Command =>
  new Command('discover')
    .description('propose a quiesce.yaml from what runs in this guest, and say what it cannot cover; changes nothing')
    .option('--docker <socket>', "Docker's socket, which is asked what runs", '/var/run/docker.sock')
    .option('--json', 'the proposal as one JSON document')
    .addHelpText(
      'after',
      `
It reads /proc, asks Docker what runs, and connects to nothing else; as root it sees everything.
Read what it proposes. This installs it as it stands:
  sudo felhom-controller quiesce discover | sudo install -m 0644 -o root /dev/stdin ${TARGET}

Exit status: 0 all that was found is covered, 2 something is not or could not be looked at, 1 error.`,
    )
    .action((options: Options) => discover(options, io));
