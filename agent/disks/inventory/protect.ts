/** `disks.protect`: drives that root never wants to be a customer's, by serial or WWN. Pure. */
import type { DriveRecord } from './drive.ts';
import type { Found } from './found.ts';
import { folded, plain } from './plain.ts';

export interface Named {
  serials: readonly string[];
  wwns: readonly string[];
}

const ofRecord = ({ serial, wwn, keys }: DriveRecord): Named => ({
  serials: [folded(serial), ...keys.flatMap((key) => (key.startsWith('serial:') ? [key.split('/')[1] ?? ''] : []))],
  wwns: [folded(wwn), ...keys.flatMap((key) => (key.startsWith('wwn:') ? [key.slice('wwn:'.length)] : []))],
});

const bare = (wwn: string): string => wwn.replace(/^(0x|naa\.|eui\.)/, '');

/** An entry is `serial:…` or `wwn:…`; case, blanks and a WWN's prefix make no difference. */
const matches = (entry: string, { serials, wwns }: Named): boolean => {
  const at = entry.indexOf(':');
  const wanted = folded(entry.slice(at + 1));
  if (wanted === '') return false;
  return entry.startsWith('wwn:') ? wwns.some((wwn) => bare(wwn) === bare(wanted)) : serials.includes(wanted);
};

export const protectedBy = (entries: readonly string[], named: Named): Found[] =>
  entries
    .filter((entry) => matches(entry, named))
    .map((entry) => ({
      role: 'system',
      sentence: `The host's operator has set it aside (${plain(entry, 140)} in disks.protect).`,
      lasting: false,
      origin: 'ordered',
      setAside: plain(entry, 140),
    }));

/** Entries that protect nothing, neither what is plugged in nor what ever was. */
export const unmatched = (entries: readonly string[], present: readonly Named[], records: readonly DriveRecord[]): string[] => {
  const all = [...present, ...records.map(ofRecord)];
  return entries.filter((entry) => !all.some((named) => matches(entry, named)));
};
