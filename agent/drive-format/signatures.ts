/** What wipefs(8) and blkid(8) find on a device that is open here. They open it read-only. */
import { parseExport, parseWipefs } from '../ports/probe.ts';
import { Failed } from './failed.ts';
import { FIRST, runOn, runWell } from './run-on.ts';

const WIPEFS = '/usr/sbin/wipefs';
const BLKID = '/usr/sbin/blkid';

/** blkid(8): 2 stands for nothing as well as for what cannot be read. */
const FOUND = 0;
const NOTHING = 2;

export interface Signatures {
  /** Those at known places: type and bytes from the start. */
  listed: { type: string; offset: number }[];
  /** `TYPE`, `UUID`, `PTTYPE` and so on; empty where it finds nothing. */
  found: Readonly<Record<string, string>>;
}

/** Also where several things exclude each other. Throws Failed where it cannot be told. */
export const listedOn = (fd: number): Signatures['listed'] =>
  parseWipefs(runWell([fd], WIPEFS, ['--json', '-n', FIRST]).stdout).map(({ type, offset }) => ({ type, offset: offset ?? 0 }));

/** Throws Failed where the programs cannot tell, or find several things that exclude each other. */
export const signaturesOn = (fd: number): Signatures => {
  const listed = listedOn(fd);
  const { exit, stdout, stderr } = runOn([fd], BLKID, ['-p', '-o', 'export', FIRST]);
  if (exit !== FOUND && (exit !== NOTHING || stderr !== '')) throw new Failed('leftovers', `blkid ended with ${exit}: ${stderr}`);
  return { listed, found: exit === FOUND ? parseExport(stdout) : {} };
};

/** For the log: `ext4 at 1080, gpt at 512`. */
export const inWords = ({ listed, found }: Signatures): string =>
  [
    ...listed.map(({ type, offset }) => `${type} at ${offset}`),
    ...['TYPE', 'PTTYPE'].flatMap((key) => (found[key] === undefined ? [] : [`${key}=${found[key]}`])),
  ].join(', ') || 'nothing';
