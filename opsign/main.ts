#!/usr/bin/env node
/** `felhom-opsign`: its name and help; signing comes with the disk features. */
import { VERSION } from './version.ts';

const HELP = `felhom-opsign [--help] [--version]

The operator's offline tool. It will sign the wipe of a system or backup drive, on a machine without a network.
This release of felhom wipes no drives, so there is nothing to sign yet: signing comes with a later release.

Exit status: 0 shown, 1 anything else was asked for.`;

const [asked] = process.argv.slice(2);
if (asked === '--version' || asked === '-version' || asked === '-V') process.stdout.write(`${VERSION}\n`);
else if (asked === undefined || asked === '--help' || asked === '-help' || asked === '-h') process.stdout.write(`${HELP}\n`);
else {
  process.stderr.write(`felhom-opsign: there is no "${asked}" yet.\n\n${HELP}\n`);
  process.exitCode = 1;
}
