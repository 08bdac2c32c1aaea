/** This program's version. */
import { readFileSync } from 'node:fs';
import { versionFrom } from '#shared/version';

export const VERSION = versionFrom(import.meta.url, (place) => readFileSync(place, 'utf8'));
