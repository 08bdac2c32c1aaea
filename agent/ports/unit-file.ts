/** systemd's mount and swap units: what they mount, and where. systemd.unit(5), systemd.syntax(7). Pure. */
import { NotUnderstood } from '../not-understood.ts';

/** `Section.Key` to the last value; the empty value of a list's reset too. */
type Settings = ReadonlyMap<string, string>;

/** `\` at the end joins the next line with a blank; comments between are left out. */
const joined = (text: string): string[] => {
  const lines: string[] = [];
  let before: string | null = null;
  for (const line of text.split('\n')) {
    if (/^\s*[#;]/.test(line)) continue;
    const whole: string = before === null ? line : `${before} ${line.trim()}`;
    before = whole.endsWith('\\') ? whole.slice(0, -1) : null;
    if (before === null) lines.push(whole.trim());
  }
  return [...lines, ...(before === null ? [] : [before.trim()])].filter((line) => line !== '');
};

/** systemd skips a line that it does not understand, and so the rest of the file would still hold: it must be read with care, not given up. */
const settingsOf = (text: string): Settings => {
  const settings = new Map<string, string>();
  let section = '';
  for (const line of joined(text)) {
    const [, name] = /^\[(.+)\]$/.exec(line) ?? [];
    if (name !== undefined) section = name;
    else {
      const equals = line.indexOf('=');
      if (equals > 0) settings.set(`${section}.${line.slice(0, equals).trim()}`, line.slice(equals + 1).trim());
    }
  }
  return settings;
};

/** `mnt-a\x2db` is `/mnt/a-b`, `-` is `/`. systemd-escape(1), `--unescape --path`. */
export const unescapePath = (name: string): string => {
  if (name === '-') return '/';
  const bytes = name
    .replaceAll('-', '/')
    .replace(/\\x([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return `/${Buffer.from(bytes, 'latin1').toString('utf8')}`;
};

/** What specifiers stand for in a unit of the system. systemd.unit(5), SPECIFIERS. */
export interface SpecifierFacts {
  hostname: string;
  machineId: string;
  kernelRelease: string;
}

const specifiersOf = (file: string, { hostname, machineId, kernelRelease }: SpecifierFacts): Record<string, string> => {
  const prefix = file.replace(/\.[a-z]+$/, '');
  return {
    ...{ '%': '%', n: file, N: prefix, p: prefix, P: unescapePath(prefix).slice(1), f: unescapePath(prefix) },
    ...{ t: '/run', S: '/var/lib', C: '/var/cache', L: '/var/log', E: '/etc', T: '/tmp', V: '/var/tmp', h: '/root', u: 'root' },
    ...{ H: hostname, l: hostname.split('.', 1)[0] ?? '', m: machineId, v: kernelRelease },
  };
};

const expand = (value: string, file: string, facts: SpecifierFacts): string => {
  const known = specifiersOf(file, facts);
  return value.replace(/%(.?)/g, (all, letter: string) => {
    const meant = known[letter];
    if (meant === undefined) throw new NotUnderstood(`${file} uses ${all}, whose meaning is not known here`);
    return meant;
  });
};

/** The first line of units that felhom makes (mount-units.ts); what they mount is felhom's own. */
const isOwn = (text: string): boolean => text.startsWith('# felhom-agent writes this file ');

export interface MountUnit {
  /** `mnt-usb.mount`. */
  file: string;
  what: string;
  /** Empty for swap. */
  where: string;
}

/**
 * Null where it names nothing: masked, felhom's own, or a drop-in that changes something else. @param file the unit's name, also for a drop-in
 * @throws NotUnderstood where a specifier cannot be followed
 */
export const mountUnit = (file: string, text: string, facts: SpecifierFacts): MountUnit | null => {
  const settings = settingsOf(text);
  const swap = file.endsWith('.swap');
  const what = settings.get(swap ? 'Swap.What' : 'Mount.What') ?? '';
  if (what === '' || isOwn(text)) return null;
  const where = settings.get('Mount.Where') ?? '';
  return {
    file,
    what: expand(what, file, facts),
    where: swap ? '' : where === '' ? unescapePath(file.replace(/\.mount$/, '')) : expand(where, file, facts),
  };
};
