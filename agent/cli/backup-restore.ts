/** `felhom-agent backup restore`. */
import { Command } from 'commander';
import { type RestoreAdvice, restoreAdvice } from '#shared/wire/admin-backups';
import { ask } from './admin-client.ts';
import { DEFAULT_CONFIG, type Io } from './io.ts';
import { volid } from './volid.ts';
import { bytes, time, verifiedSentence } from './words.ts';

/** 1 is kept for errors. */
const EXIT = { shown: 0, damaged: 2 } as const;

const KIND = { lxc: 'container', qemu: 'virtual machine' } as const;

const overwritten = ({ vmid, overwrites }: RestoreAdvice): string[] =>
  overwrites.length === 0
    ? [`There is no guest ${vmid} now: nothing is overwritten.`]
    : ['It would overwrite:', ...overwrites.map((one) => `  - ${one}`)];

/** The command stands last and alone, to be copied. */
const render = (advice: RestoreAdvice): string[] => [
  `archive    ${advice.volid}`,
  `guest      ${advice.vmid}, a ${KIND[advice.type]}`,
  `made       ${time(advice.created_at)}, ${bytes(advice.size_bytes)}`,
  `label      ${advice.label}`,
  `verified   ${verifiedSentence(advice)}`,
  `protected  ${advice.protected ? 'yes' : 'no'}`,
  '',
  ...overwritten(advice),
  ...(advice.warnings.length === 0 ? [] : ['', 'Before you run it:', ...advice.warnings.map((one) => `  - ${one}`)]),
  '',
  'Nothing was done. As root on this node, this restores it:',
  advice.command,
];

export const backupRestoreCommand = ({ out, exit }: Io): Command =>
  new Command('restore')
    .description('check an archive and print the command that restores it; runs nothing')
    .argument('<volid>', 'the archive, as "backup list" shows it', volid)
    .option('--json', 'print it as one JSON document')
    .option('--config <file>', 'configuration of the agent', DEFAULT_CONFIG)
    .addHelpText(
      'after',
      '\nThe last line of the answer is the command. README, "When you need a backup", goes through it step by step.\n\n' +
        'Exit status: 0 shown, 2 shown, but the archive is damaged, 1 error.',
    )
    .action(async (archive: string, { json, config }: { json?: true; config: string }) => {
      const advice = await ask(restoreAdvice, { config, query: { volid: archive } });
      if (json) out(JSON.stringify(advice));
      else for (const line of render(advice)) out(line);
      exit(advice.verification === 'failed' ? EXIT.damaged : EXIT.shown);
    });
