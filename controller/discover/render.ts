/** A proposal as the text of quiesce.yaml, with what speaks for each entry, and what none covers. Pure. */
import { stringify } from 'yaml';
import type { Proposal, Proposed } from './proposal.ts';

const WIDTH = 118;

/** Lines of a comment, no longer than a person likes to read. */
const comment = (sentence: string, indent = ''): string[] => {
  const lines: string[] = [];
  let line = '';
  // A name that was found may have any byte in it: none of them ends the comment.
  for (const word of sentence.split(/[\s\p{C}]+/u)) {
    if (line !== '' && line.length + word.length + 1 > WIDTH - indent.length) {
      lines.push(line);
      line = '';
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  // What belongs to an item of a list stands below it.
  const hang = sentence.startsWith('- ') ? '  ' : '';
  return [...lines, line].map((text, index) => `${indent}# ${index === 0 ? '' : hang}${text}`);
};

const entryLines = ({ entry }: Proposed): string[] =>
  stringify([entry], { lineWidth: 0, flowCollectionPadding: false, collectionStyle: 'block' }).trimEnd().split('\n');

const active = (one: Proposed): string[] => [
  ...one.why.flatMap((sentence) => comment(sentence, '  ')),
  ...entryLines(one).map((line) => `  ${line}`),
];

const asComment = (one: Proposed): string[] => [
  ...one.why.flatMap((sentence) => comment(sentence, '  ')),
  ...entryLines(one).map((line) => `  #  ${line}`),
];

const list = (title: string, sentences: readonly string[]): string[] =>
  sentences.length === 0 ? [] : [...comment(title), ...sentences.flatMap((sentence) => comment(`- ${sentence}`)), ''];

export const renderYaml = ({ proposed, uncovered, unseen, notes }: Proposal): string => {
  const entries = proposed.filter((one) => one.active);
  const others = proposed.filter((one) => !one.active);
  return [
    ...comment('/etc/felhom/quiesce.yaml, proposed by `felhom-controller quiesce discover` from what was running.'),
    ...comment('Read it, then try it: `felhom-controller quiesce test`. What each engine needs: README, "Hold applications".'),
    '',
    ...list('Not covered by anything below:', uncovered),
    ...list('Could not be looked at:', unseen),
    ...list('Good to know:', notes),
    ...(entries.length === 0 ? ['apps: []', ''] : ['apps:', ...entries.flatMap((one) => [...active(one), ''])]),
    ...(others.length === 0
      ? []
      : [
          '  # For you to decide; below `apps:` without the marks they are held as well.',
          ...others.flatMap((one) => [...asComment(one), '']),
        ]),
  ]
    .join('\n')
    .replace(/\n*$/, '\n');
};

/** For stderr: what a person must know before using it. */
export const renderWarnings = ({ proposed, uncovered, unseen }: Proposal): string => {
  const entries = proposed.filter((one) => one.active).length;
  const said = (title: string, sentences: readonly string[]) =>
    sentences.length === 0 ? [] : [title, ...sentences.map((one) => `  ${one}`)];
  return `${[
    `${entries === 0 ? 'Nothing' : entries === 1 ? '1 application' : `${entries} applications`} to hold; nothing was changed.`,
    ...said('Not covered:', uncovered),
    ...said('Could not be looked at:', unseen),
  ].join('\n')}\n`;
};
