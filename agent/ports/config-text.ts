/** The host's own tables of drives: fstab, crypttab, mdadm.conf, proxmox-boot-uuids. Pure; what does not read as it should throws NotUnderstood. */
import { decodeOctal } from '#shared/mountinfo';
import { NotUnderstood } from '../not-understood.ts';

export interface FstabLine {
  /** `UUID=…`, `/dev/…`, `LABEL=…`. */
  spec: string;
  point: string;
  fstype: string;
  options: readonly string[];
}

/** Fields of each line that is neither empty nor a comment. */
const rows = (text: string, file: string, atLeast: number): string[][] =>
  text.split('\n').flatMap((line, at) => {
    if (/^\s*(?:#|$)/.test(line)) return [];
    const fields = line.trim().split(/\s+/);
    if (fields.length < atLeast) throw new NotUnderstood(`${file}, line ${at + 1}, is not understood`);
    return [fields];
  });

/** A file that names devices in quotes, as `UUID="…"`, means the same without. */
const unquoted = (spec: string): string => spec.replace(/^(\w+=)?(["'])(.*)\2$/, '$1$3');

/** fstab(5). */
export const parseFstab = (text: string): FstabLine[] =>
  rows(text, '/etc/fstab', 3).map(([spec = '', point = '', fstype = '', options = 'defaults']) => ({
    spec: unquoted(decodeOctal(spec)),
    point: decodeOctal(point),
    fstype,
    options: decodeOctal(options).split(','),
  }));

/** crypttab(5): name, device, key, options. */
export const parseCrypttab = (text: string): { name: string; device: string }[] =>
  rows(text, '/etc/crypttab', 2).map(([name = '', device = '']) => ({ name, device: unquoted(decodeOctal(device)) }));

/** mdadm.conf(5): a line that begins with a blank goes on; keywords may be cut to three letters. */
export const parseMdadm = (text: string, file: string): string[] =>
  text
    .replace(/#.*$/gm, '')
    .replace(/\n[ \t]+/g, ' ')
    .split('\n')
    .filter((line) => /^arr/i.test(line))
    .flatMap((line) => [...line.matchAll(/\suuid\s*=\s*(\S+)/gi)])
    .map(([, uuid = '']) => {
      const digits = uuid.replace(/[^0-9a-f]/gi, '').toLowerCase();
      if (digits.length !== 32) throw new NotUnderstood(`${file} names an array that is not understood`);
      return digits;
    });

/** One UUID a line. proxmox-kernel-helper:src/proxmox-boot/functions. */
export const parseBootUuids = (text: string): string[] =>
  rows(text, '/etc/kernel/proxmox-boot-uuids', 1).map(([uuid = '', ...more]) => {
    if (!/^[0-9A-Fa-f-]{4,36}$/.test(uuid) || more.length > 0)
      throw new NotUnderstood('/etc/kernel/proxmox-boot-uuids is not understood');
    return uuid;
  });
