/** Finds the drive that is meant in a listing. Pure. */
import { inert } from '#shared/inert';
import type { Disk, Disks } from '#shared/wire/disks';
import { driveWords } from './words.ts';

/** One drive, or a sentence that says why not. */
export type FoundDisk = { found: true; disk: Disk } | { found: false; sentence: string };

const same = (a: string, b: string): boolean => a !== '' && a.toLowerCase() === b.toLowerCase();

/** What a drive may be called by, the most certain first. */
const WAYS: readonly ((disk: Disk, wanted: string) => boolean)[] = [
  ({ durable_id }, wanted) => same(durable_id, wanted) || same(durable_id, `uuid:${wanted}`),
  ({ name, state }, wanted) => state !== 'unplugged' && (name === wanted || `/dev/${name}` === wanted),
  ({ serial }, wanted) => same(serial, wanted),
  ({ label }, wanted) => same(label, wanted),
  // What an unplugged drive was called last may be another one's name now.
  ({ name, state }, wanted) => state === 'unplugged' && (name === wanted || `/dev/${name}` === wanted),
];

/** Parts share the serial number of their drive, and a drive with one file system its label: the whole is meant. */
const wholes = (disks: readonly Disk[]): readonly Disk[] => {
  const whole = disks.filter(({ type }) => type === 'disk');
  return whole.length > 0 ? whole : disks;
};

const SEE = 'See "felhom-controller disks list".';

export const findDisk = (disks: readonly Disk[], wanted: string): FoundDisk => {
  const matching = WAYS.map((way) => wholes(disks.filter((disk) => way(disk, wanted)))).find(({ length }) => length > 0) ?? [];
  const [disk, ...others] = matching;
  if (disk === undefined) return { found: false, sentence: `There is no drive "${inert(wanted)}" for this guest. ${SEE}` };
  if (others.length > 0) {
    const all = matching.map(driveWords).join(' and ');
    return { found: false, sentence: `"${inert(wanted)}" may be ${all}. Say which by its name.` };
  }
  return { found: true, disk };
};

/** File systems of this drive that are listed by themselves, because there are several. */
export const partsOf = (disks: readonly Disk[], { name, type }: Disk): readonly Disk[] => {
  if (type !== 'disk') return [];
  const at = disks.findIndex((disk) => disk.type === 'disk' && disk.name === name);
  const after = disks.slice(at + 1);
  const end = after.findIndex((disk) => disk.type === 'disk');
  return end === -1 ? after : after.slice(0, end);
};

/** As an agent that does not tell it would have it, unless something is connected that shows it. */
const USUAL_ROOT = '/mnt/felhom';

export const mountRootOf = ({ mount_root, disks }: Disks): string => {
  if (mount_root !== undefined && mount_root !== '') return mount_root;
  const [connected] = disks.flatMap(({ mount_path }) => (mount_path === '' ? [] : [mount_path]));
  return connected === undefined ? USUAL_ROOT : connected.slice(0, connected.lastIndexOf('/'));
};

export const PLACE_NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/;
export const PLACE_RULE =
  'A name has at most 32 lower-case letters, digits, dashes or underscores, and begins with a letter or a digit.';

/** Where something is connected on the host, called by its name, its place in the guest or on the host, or its drive. */
export const findPlace = (listing: Disks, wanted: string): { where: string } | { sentence: string } => {
  const { disks } = listing;
  const connected = disks.filter(({ mount_path }) => mount_path !== '');
  const where = `${mountRootOf(listing)}/${wanted}`;
  const place = connected.find(({ mount_path, guest_path }) => [mount_path, guest_path].includes(wanted) || mount_path === where);
  if (place !== undefined) return { where: place.mount_path };
  const found = findDisk(disks, wanted);
  if (found.found) {
    const { disk } = found;
    const [own] = [disk, ...partsOf(disks, disk)].filter(({ mount_path }) => mount_path !== '');
    if (own !== undefined) return { where: own.mount_path };
    if (!PLACE_NAME.test(wanted)) return { sentence: `${driveWords(disk)} is not connected, so there is nothing to eject.` };
  }
  // Connected and not mounted now, as while it is unplugged, it is in no listing: the agent knows.
  if (PLACE_NAME.test(wanted)) return { where };
  return wanted.startsWith('/') ? { where: wanted } : { sentence: found.found ? '' : found.sentence };
};
