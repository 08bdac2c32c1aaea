/** A guest's configuration file with all its sections: what is in force, what is pending, what snapshots keep. Pure. */
import { settingOf } from './config-lines.ts';

export interface ConfigSection {
  /** Empty for what is in force; `pending`, `snapshot "before"` for people. */
  name: string;
  settings: readonly (readonly [key: string, value: string])[];
  /** Lines that are no setting, no comment and not empty. */
  unreadable: readonly string[];
}

/** `[PENDING]` of a machine, `[pve:pending]` of a container; any other section is a snapshot's or one of Proxmox's own (`[special:…]`). */
const sectionName = (written: string): string => {
  if (/^(pve:)?pending$/i.test(written)) return 'pending changes';
  return written.startsWith('special:') ? `section "${written}"` : `snapshot "${written}"`;
};

/** Of every line; a section that comes twice is told twice. */
export const sectionsOf = (text: string): ConfigSection[] => {
  const sections = [{ name: '', settings: [] as [string, string][], unreadable: [] as string[] }];
  for (const line of text.split('\n').map((one) => one.replace(/\r$/, ''))) {
    const [, section] = /^\[([^\]]*)\]\s*$/.exec(line) ?? [];
    const setting = settingOf(line);
    const current = sections.at(-1);
    if (section !== undefined) sections.push({ name: sectionName(section), settings: [], unreadable: [] });
    else if (setting !== null) current?.settings.push(setting);
    else if (line.trim() !== '' && !line.startsWith('#')) current?.unreadable.push(line);
  }
  return sections;
};
