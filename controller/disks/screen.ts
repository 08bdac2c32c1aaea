/** What `disks list` prints. Pure. */
import { inert } from '#shared/inert';
import type { Disk, Disks } from '#shared/wire/disks';
import { span } from '../health/words.ts';
import { hanging, table, wrapped } from './lines.ts';
import { partsOf } from './listing.ts';
import { aboutWords, driveSize, holdsWords, modelOf, nextStep, useWords } from './words.ts';

/** What the list rests on is looked at every few seconds. */
const OLD_SECONDS = 60;

/** Certain, complete and fresh. */
export const isCertain = ({ reason, age_seconds }: Disks): boolean => reason === '' && (age_seconds ?? 0) <= OLD_SECONDS;

/** What an unplugged drive was called last may be another one's name now. */
const nameOf = ({ name, type, state }: Disk): string =>
  state === 'unplugged' ? '-' : `${type === 'part' ? '- ' : ''}${inert(name)}`;

const row = (disk: Disk, hasParts: boolean): string[] => [
  nameOf(disk),
  driveSize(disk.total_bytes),
  disk.type === 'part' ? '' : disk.owner === 'not-yours' ? '-' : modelOf(disk),
  hasParts ? 'see its parts' : holdsWords(disk),
  useWords(disk, hasParts),
];

const notes = (disk: Disk, hasParts: boolean, width: number): string[] => {
  const about = aboutWords(disk, hasParts);
  const next = nextStep(disk, hasParts);
  const ill = disk.smart.health === 'FAILING' ? 'The drive itself says that it is failing: copy what you need from it soon.' : '';
  const text = [ill, about].filter((one) => one !== '').join(' ');
  return [
    ...(text === '' ? [] : hanging(`${disk.state === 'unplugged' ? modelOf(disk) : inert(disk.name)}: `, text, width)),
    // On a line of its own, so that it can be copied.
    ...(next === '' ? [] : [`  next: ${next}`]),
  ];
};

const doubts = ({ reason, age_seconds }: Disks): string[] => [
  ...(reason === '' ? [] : [inert(reason)]),
  ...((age_seconds ?? 0) <= OLD_SECONDS
    ? []
    : [`The drives could not be looked at now: what is shown is ${span(age_seconds ?? 0)} old.`]),
];

/** The whole screen, with its last newline. */
export const renderDisks = (listing: Disks, width: number): string => {
  const { disks } = listing;
  const shown = disks.map((disk) => ({ disk, hasParts: partsOf(disks, disk).length > 0 }));
  const head = ['DRIVE', 'SIZE', 'MODEL', 'HOLDS', 'USE'];
  const uncertain = doubts(listing).flatMap((one) => wrapped(one, width));
  const known =
    disks.length === 0
      ? ['There is no drive that this guest could see.']
      : [
          ...table([head, ...shown.map(({ disk, hasParts }) => row(disk, hasParts))], width),
          '',
          ...shown.flatMap(({ disk, hasParts }) => notes(disk, hasParts, width)),
        ];
  return [...known, ...(uncertain.length === 0 ? [] : ['', ...uncertain]), ''].join('\n');
};
