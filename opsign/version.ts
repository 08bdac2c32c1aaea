/** This program's version: built in, since its one file is carried to a machine where nothing else of felhom is. */
import { readFileSync } from 'node:fs';
import { versionFrom } from '#shared/version';

/** Put in where npm bundles the program. */
declare const FELHOM_VERSION: string | undefined;

export const VERSION =
  typeof FELHOM_VERSION === 'string' && FELHOM_VERSION !== ''
    ? FELHOM_VERSION
    : versionFrom(import.meta.url, (place) => readFileSync(place, 'utf8'));
