/** A guest's configuration file, as Proxmox writes it, by lines. Pure. */
import type { GuestConfigFile } from '../ports/proxmox-files.ts';

/** All that is of interest in a guest's file, whoever read it. */
export type GuestConfig = Pick<GuestConfigFile, 'type' | 'text'>;

/** `[pve:pending]`, `[before-update]`: what follows is not in force (pve-container:src/PVE/LXC/Config.pm, parse_pct_config). */
const isSection = (line: string): boolean => line.startsWith('[');

/** Where what is in force ends: the number of lines before the first section. */
export const linesInForce = (lines: readonly string[]): number => {
  const first = lines.findIndex(isSection);
  return first === -1 ? lines.length : first;
};

/** `net0: virtio=…`; raw keys of LXC may have a `=` instead (parse_pct_config). Lines beginning with # are the description. */
const SETTING = /^([a-z][\w.-]*)(?::|\s*=)\s*(.*?)\s*$/i;

/** Key and value of one line; null for the description and what is no setting. */
export const settingOf = (line: string): [key: string, value: string] | null => {
  const [, key, value] = SETTING.exec(line) ?? [];
  return key === undefined || value === undefined ? null : [key, value];
};

/** What is in force, in the file's order; raw keys of LXC may come more than once. */
export const settingsIn = (text: string): [key: string, value: string][] => {
  const lines = text.split('\n');
  return lines.slice(0, linesInForce(lines)).flatMap((line) => {
    const setting = settingOf(line);
    return setting === null ? [] : [setting];
  });
};

/** `name=eth0,bridge=vmbr0` as its parts; one without `=` has the empty name (a property string's default key). */
export const partsOf = (value: string): Map<string, string> =>
  new Map(
    value.split(',').map((part): [string, string] => {
      const at = part.indexOf('=');
      return at === -1 ? ['', part] : [part.slice(0, at), part.slice(at + 1)];
    }),
  );
