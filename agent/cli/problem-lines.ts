/** Problems as lines of text: what is wrong, what was seen, what to do. Pure. */
import type { Problem } from '#shared/wire/problems';
import { time } from './words.ts';

const who = (vmid: number | null): string => (vmid === null ? 'this host' : `guest ${vmid}`);

export const problemLines = (problems: readonly Problem[]): string[] =>
  problems.flatMap(({ severity, code, vmid, sentence, evidence, next_step, since }) => [
    `${severity}: ${who(vmid)}: ${sentence}`,
    ...(evidence === '' ? [] : [`  seen   ${evidence}`]),
    `  next   ${next_step}`,
    `  since  ${time(since)} (${code})`,
  ]);
