/** The one line of a container's configuration by which its drives show in it: whether it is there, putting it in, taking it out. Pure. */
import { linesInForce, partsOf, settingOf } from '../../guests/config-lines.ts';
import { GUEST_ROOT, type GuestPlaces } from './guest-places.ts';

/**
 * `ro` holds for the directory only: what is mounted below it keeps its own options, also what is mounted later. `rslave`: mounts made
 * and taken away on the host come and go inside. `optional`: a container starts without it too, restored on a host without felhom
 * for one. lxc.container.conf(5); each was tried with LXC 5.0, unprivileged and privileged.
 */
const OPTIONS = 'rbind,ro,rslave,create=dir,optional';

const KEY = 'lxc.mount.entry';

export const lineFor = (places: GuestPlaces, vmid: number): string =>
  `${KEY}: ${places.own(vmid)} ${GUEST_ROOT.slice(1)} none ${OPTIONS} 0 0`;

/** What an entry mounts, and where; LXC takes the place from the container's root, with a slash before it or without. */
const entryIn = (line: string): { source: string; target: string } | null => {
  const [key, value] = settingOf(line) ?? [];
  if (key !== KEY || value === undefined) return null;
  const [source = '', target = ''] = value.split(/\s+/);
  return { source, target: `/${target.replace(/^\/+/, '')}` };
};

/** Whose directory a line shows; null: it is none of ours. Not always the guest's own: a copy brings that of the guest it was made from. */
const shownByLine = (line: string, places: GuestPlaces): number | null => {
  const entry = entryIn(line);
  return entry === null ? null : places.ownerOf(entry.source);
};

const inForce = (text: string): string[] => {
  const lines = text.split('\n');
  return lines.slice(0, linesInForce(lines));
};

/** Whose directories a configuration shows. */
export const shownBy = (text: string, places: GuestPlaces): number[] =>
  inForce(text)
    .map((line) => shownByLine(line, places))
    .filter((vmid) => vmid !== null);

/** Whether the line is there as it must be, and no other of ours. */
export const isGiven = (text: string, places: GuestPlaces, vmid: number): boolean => {
  const ours = inForce(text).filter((line) => shownByLine(line, places) !== null);
  return ours.length === 1 && ours[0]?.trimEnd() === lineFor(places, vmid);
};

/** Without any line of ours. Sections (snapshots, pending changes) keep theirs. */
const without = (text: string, places: GuestPlaces): string[] => {
  const lines = text.split('\n');
  const end = linesInForce(lines);
  return lines.filter((line, index) => index >= end || shownByLine(line, places) === null);
};

/** Takes our lines away, whosever directory they show. Every other byte stays. */
export const withoutLine = (text: string, places: GuestPlaces): string => without(text, places).join('\n');

/** Before the blank lines that stand before the first section: Proxmox writes them itself. */
const placeIn = (lines: readonly string[]): number => {
  let at = linesInForce(lines);
  while (at > 0 && lines[at - 1]?.trim() === '') at -= 1;
  return at;
};

/** Puts the line in, once, in place of all others of ours; a text that has it comes back as it is. Every other byte stays. */
export const withLine = (text: string, places: GuestPlaces, vmid: number): string => {
  if (isGiven(text, places, vmid)) return text;
  const lines = without(text, places);
  const at = placeIn(lines);
  // A last line that had no end gets one, and so has ours.
  const tail = at === lines.length ? [''] : [];
  return [...lines.slice(0, at), lineFor(places, vmid), ...lines.slice(at), ...tail].join('\n');
};

const isTaken = (path: string): boolean => path === GUEST_ROOT || path.startsWith(`${GUEST_ROOT}/`);

/** What of somebody else's the container has at or below our place, as the configuration names it (`mp0`); empty where there is none. */
export const inTheWay = (text: string, places: GuestPlaces): string => {
  const found = inForce(text).find((line) => {
    const [key = '', value = ''] = settingOf(line) ?? [];
    const point = /^mp\d+$/.test(key) ? (partsOf(value).get('mp') ?? '').replace(/\/+$/, '') : '';
    const entry = shownByLine(line, places) === null ? entryIn(line) : null;
    return isTaken(point) || (entry !== null && isTaken(entry.target));
  });
  return found === undefined ? '' : (settingOf(found)?.[0] ?? '');
};

/** Proxmox's lock on the guest; empty where there is none. While there is one, its file is being worked on. */
export const lockIn = (text: string): string =>
  inForce(text)
    .map(settingOf)
    .find((setting) => setting?.[0] === 'lock')?.[1] ?? '';
