/** A guest's configuration as the file in `/etc/pve` has it: description as comments, keys in order, snapshot sections. */

import { createHash } from 'node:crypto';
import type { ConfigValue, Guest, LxcLine } from './world.ts';

const HIDDEN = ['description', 'digest'];

const encodeComment = (line: string): string =>
  `#${line.replace(/[%\r]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`)}\n`;

const description = (value: ConfigValue | undefined): string =>
  value === undefined ? '' : String(value).replace(/\n$/, '').split('\n').map(encodeComment).join('');

const section = (config: Record<string, ConfigValue>): string =>
  description(config.description) +
  Object.keys(config)
    .filter((key) => !HIDDEN.includes(key))
    .sort()
    .map((key) => `${key}: ${config[key]}\n`)
    .join('');

/** A container's raw lines come after its own keys. pve-container:src/PVE/LXC/Config.pm, write_pct_config. */
const rawLines = (lines: readonly LxcLine[] | undefined): string =>
  (lines ?? []).map(([key, value]) => `${key}: ${value}\n`).join('');

/** The raw lines of a file's current section. pve-container:src/PVE/LXC/Config.pm, parse_pct_config. */
export const rawLinesIn = (text: string): LxcLine[] =>
  (text.split(/^\[/m)[0] ?? '').split('\n').flatMap((line): LxcLine[] => {
    const [, key = '', value = ''] = /^(lxc\.[a-z0-9_\-.]+)(?::|\s*=)\s*(.*?)\s*$/.exec(line) ?? [];
    return key === '' ? [] : [[key, value]];
  });

/** The current section only, as a backup keeps it. */
export const mainSection = (guest: Guest): string => section(guest.config) + rawLines(guest.lxc);

export const configText = (guest: Guest): string =>
  mainSection(guest) +
  Object.entries(guest.snapshots)
    .map(([name, s]) => {
      const own = {
        ...s.config,
        description: s.description,
        snaptime: s.snaptime,
        ...(s.parent === undefined ? {} : { parent: s.parent }),
      };
      return `\n[${name}]\n${section(own)}${rawLines(s.lxc)}`;
    })
    .join('');

/** Changes whenever the configuration does. */
export const configDigest = (guest: Guest): string => createHash('sha1').update(configText(guest)).digest('hex');
