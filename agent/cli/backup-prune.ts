/** `felhom-agent backup prune`. */
import { Command } from 'commander';
import { type PrunePlan, pruneBackups } from '#shared/wire/admin-backups';
import { ask } from './admin-client.ts';
import { forEachGuest } from './enrolled.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { table } from './table.ts';
import { vmid } from './vmid.ts';
import { bytes, time, verified } from './words.ts';

/** Each archive that is deleted is a task of Proxmox's own. */
const PATIENCE_MS = 3_600_000;

const result = ({ deleted }: PrunePlan, { volid, keep }: PrunePlan['archives'][number]): string => {
  if (deleted.includes(volid)) return 'deleted';
  return keep ? 'keep' : 'goes';
};

const render = (plans: readonly PrunePlan[]): string[] =>
  table([
    ['VMID', 'RESULT', 'MADE', 'SIZE', 'LABEL', 'VERIFIED', 'WHY', 'ARCHIVE'],
    ...plans.flatMap((plan) =>
      plan.archives.map((one) => [
        String(plan.vmid),
        result(plan, one),
        time(one.created_at),
        bytes(one.size_bytes),
        one.label,
        verified({ ...one, verified_at: null }),
        one.why,
        one.volid,
      ]),
    ),
  ]);

/** In one line for each guest. */
const summary = ({ vmid: guest, archives, deleted, stopped }: PrunePlan, dryRun: boolean): string => {
  if (stopped !== '') return `Guest ${guest}: nothing is deleted: ${stopped}`;
  const going = archives.filter(({ keep }) => !keep).length;
  const left = archives.length - (dryRun ? going : deleted.length);
  return dryRun
    ? `Guest ${guest}: ${going} would be deleted, ${left} kept. Nothing was done.`
    : `Guest ${guest}: ${deleted.length} deleted, ${left} kept.`;
};

export const backupPruneCommand = (io: Io): Command =>
  new Command('prune')
    .description('delete the archives that retention does not keep; the agent does so by itself after each good backup')
    .argument('[vmid]', 'one guest; every enrolled one where it is left out', vmid)
    .option('--dry-run', 'only say for every archive why it is kept or goes')
    .option('--json', 'print it as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nNever deleted: protected archives, those that felhom did not make, and the newest of all, the newest verified,\n' +
        'the newest with the label "app" and the newest that was proved by a test.\n\nExit status: 0 done, 1 refused or failed.',
    )
    .action(async (named: string | undefined, { dryRun, json, config }: { dryRun?: true; json?: true; config: string }) => {
      const dry_run = dryRun === true;
      const guests = await forEachGuest({ named, config }, io, (guest) =>
        ask(pruneBackups, { config, body: { vmid: Number(guest), dry_run }, patienceMs: PATIENCE_MS }),
      );
      if (json) return io.out(JSON.stringify({ guests }));
      if (guests.some(({ archives }) => archives.length > 0)) for (const line of render(guests)) io.out(line);
      for (const plan of guests) io.err(summary(plan, dry_run));
    });
