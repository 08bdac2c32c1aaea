/** The systemd units of an assigned file system, as text. Pure: whatever goes in, no line more comes out. */
import type { MountSpec } from './drive-mounts.ts';

export interface UnitFile {
  /** File name. */
  name: string;
  text: string;
  /** Units that pull it in, each by a link in its `.wants` directory. */
  wantedBy: readonly string[];
}

/** Bytes that stand for themselves in a unit's name; all others are written `\xNN` (systemd.unit(5), "String Escaping for Inclusion in Unit Names"). */
const PLAIN = /[A-Za-z0-9:_.]/;

/** A path as unit names carry it: what `systemd-escape --path` prints. */
export const escapePath = (path: string): string => {
  const words = path.split('/').filter((word) => word !== '');
  if (words.length === 0) return '-';
  const bytes = [...Buffer.from(words.join('/'))].map((byte, index) => {
    const char = String.fromCharCode(byte);
    if (char === '/') return '-';
    const plain = PLAIN.test(char) && !(index === 0 && char === '.');
    return plain ? char : `\\x${byte.toString(16).padStart(2, '0')}`;
  });
  return bytes.join('');
};

export const mountUnitName = (point: string): string => `${escapePath(point)}.mount`;

/** Names of units, which carry their escapes as they are (systemd.syntax(7)). */
const UNIT_NAME = /^[A-Za-z0-9:_.\\-]+\.(mount|device|service)$/;

/**
 * A value of a unit's line. `%` would be expanded (systemd.unit(5), "Specifiers"); anything that could end the line, be quoted, or
 * join the next line to it has no place in what the agent builds, so it is a mistake of ours.
 */
const value = (text: string): string => {
  if (UNIT_NAME.test(text)) return text;
  if (!/^[!-~]+( [!-~]+)*$/.test(text) || /[\\"'#;]/.test(text)) throw new Error(`not fit for a unit: ${JSON.stringify(text)}`);
  return text.replaceAll('%', '%%');
};

const DEV = '/dev/felhom';
export const linkPath = (link: string): string => `${DEV}/${link}`;
export const deviceUnitName = (link: string): string => `${escapePath(linkPath(link))}.device`;

const HEAD = '# felhom-agent writes this file from its assignments, and takes it away at eject. What is changed here is lost.';

/** Longest that mount(8) may take; a journal may have to be replayed from a slow drive. */
const TIMEOUT_S = 120;

const text = (sections: Record<string, readonly (readonly [string, string])[]>): string =>
  `${[HEAD, ...Object.entries(sections).map(([name, lines]) => [`[${name}]`, ...lines.map(([key, one]) => `${key}=${value(one)}`)].join('\n'))].join('\n\n')}\n`;

/**
 * The unit of its place on the host. Wanted by its device's unit, which is what brings it back after a replug, and bound to it.
 * @param udev whether udev makes the link: only then has it a device unit to wait for
 */
const onHost = ({ mountPoint, link, fstype, options }: MountSpec, udev: boolean): UnitFile => {
  const device = deviceUnitName(link);
  const bound = [
    ['BindsTo', device],
    ['After', device],
  ] as const;
  return {
    name: mountUnitName(mountPoint),
    text: text({
      // Guests that start at boot find the drive in place, if it is there by then.
      Unit: [['Description', `felhom: ${mountPoint}`], ...(udev ? bound : []), ['Before', 'pve-guests.service']],
      Mount: [
        ['What', linkPath(link)],
        ['Where', mountPoint],
        ['Type', fstype],
        ['Options', options],
        ['TimeoutSec', String(TIMEOUT_S)],
      ],
      Install: [['WantedBy', device]],
    }),
    wantedBy: udev ? [device] : [],
  };
};

/** The unit of the guest's directory: comes and goes with the first. */
const inGuestDirectory = ({ mountPoint, guestPoint }: MountSpec): UnitFile => {
  const first = mountUnitName(mountPoint);
  return {
    name: mountUnitName(guestPoint),
    text: text({
      Unit: [
        ['Description', `felhom: ${guestPoint}`],
        ['BindsTo', first],
        ['After', first],
        ['Before', 'pve-guests.service'],
      ],
      Mount: [
        ['What', mountPoint],
        ['Where', guestPoint],
        ['Type', 'none'],
        ['Options', 'bind'],
        // Of the directory, should it not be there: what lies above it is in memory only.
        ['DirectoryMode', '0000'],
        ['TimeoutSec', String(TIMEOUT_S)],
      ],
      Install: [['WantedBy', first]],
    }),
    wantedBy: [first],
  };
};

export const unitsOf = (spec: MountSpec, udev: boolean): [UnitFile, UnitFile] => [onHost(spec, udev), inGuestDirectory(spec)];
