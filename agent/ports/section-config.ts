/** Proxmox's configuration files with sections: storage.cfg, mapping/*.cfg, datastore.cfg. pve-common:src/PVE/SectionConfig.pm, parse_config. Pure. */
import { NotUnderstood } from '../not-understood.ts';

export interface Section {
  /** Empty where the file's sections have none: mappings. */
  type: string;
  id: string;
  /** In the file's order; a key may stand several times. */
  lines: readonly (readonly [key: string, value: string])[];
}

/** `dir: local`; in mapping files the id alone (pve-guest-common:src/PVE/Mapping/PCI.pm, parse_section_header). */
const HEADERS = {
  typed: /^(?<type>[A-Za-z][\w-]*):\s*(?<id>\S+)\s*$/,
  untyped: /^(?<type>)(?<id>[A-Za-z][\w-]*)\s*$/,
} as const;

const LINE = /^[ \t]+([A-Za-z][\w-]*)(?:[ \t]+(.*\S))?[ \t]*$/;

/** @throws NotUnderstood at the first line that Proxmox itself would not take */
export const parseSections = (text: string, file: string, headers: keyof typeof HEADERS = 'typed'): Section[] => {
  const sections: { type: string; id: string; lines: [string, string][] }[] = [];
  let open: (typeof sections)[number] | null = null;
  for (const [at, line] of text.split('\n').entries()) {
    if (/^\s*#/.test(line)) continue;
    if (/^\s*$/.test(line)) {
      open = null;
      continue;
    }
    const { type, id } = HEADERS[headers].exec(line)?.groups ?? {};
    const [, key, value = ''] = LINE.exec(line) ?? [];
    if (id !== undefined) {
      open = { type: type ?? '', id, lines: [] };
      sections.push(open);
    } else if (open !== null && key !== undefined) open.lines.push([key, value]);
    else throw new NotUnderstood(`${file}, line ${at + 1}, is not understood`);
  }
  return sections;
};

/** The keys of a section that may stand only once. @throws NotUnderstood where one stands twice */
export const keysOf = ({ id, lines }: Section, file: string): Record<string, string> => {
  const keys = Object.fromEntries(lines);
  if (Object.keys(keys).length !== lines.length) throw new NotUnderstood(`${file}: the section ${id} has a key twice`);
  return keys;
};
