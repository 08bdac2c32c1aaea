#!/usr/bin/env node
/** `felhom-opsign`: its name and help; signing comes with the disk features. */
import { readFileSync } from 'node:fs';

const HELP = `felhom-opsign [--help] [--version]

The operator's offline tool. It will sign the wipe of a system or backup drive, on a machine without a network.
This release of felhom wipes no drives, so there is nothing to sign yet: signing comes with a later release.

Exit status: 0 shown, 1 anything else was asked for.`;

/** The package's root is one level above the sources, two above `dist/opsign/`. */
const version = (): string => {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const read = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as { name?: string; version?: string };
      if (read.name === 'felhom') return read.version ?? 'unknown';
    } catch {
      // Not there: the next place.
    }
  }
  return 'unknown';
};

const [asked] = process.argv.slice(2);
if (asked === '--version' || asked === '-version' || asked === '-V') process.stdout.write(`${version()}\n`);
else if (asked === undefined || asked === '--help' || asked === '-help' || asked === '-h') process.stdout.write(`${HELP}\n`);
else {
  process.stderr.write(`felhom-opsign: there is no "${asked}" yet.\n\n${HELP}\n`);
  process.exitCode = 1;
}
