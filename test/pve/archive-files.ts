/** The files of a backup, where vzdump really made them: the archive and its notes, protection and log beside it. */

import { existsSync, rmSync, writeFileSync } from 'node:fs';
import type { Archive } from './world.ts';

const logFile = (path: string): string => path.replace(/\.(?:tgz|(?:tar|vma)(?:\.\w+)?)$/, '.log');

export const removeArchiveFiles = (archive: Archive): void => {
  if (archive.path === undefined) return;
  for (const file of [archive.path, `${archive.path}.notes`, `${archive.path}.protected`, logFile(archive.path)])
    rmSync(file, { force: true });
};

export const saveNotes = (archive: Archive, notes: string): void => {
  archive.notes = notes;
  if (archive.path !== undefined && existsSync(archive.path)) writeFileSync(`${archive.path}.notes`, notes);
};

export const saveProtection = (archive: Archive, on: boolean): void => {
  archive.protected = on;
  if (archive.path === undefined || !existsSync(archive.path)) return;
  if (on) writeFileSync(`${archive.path}.protected`, '');
  else rmSync(`${archive.path}.protected`, { force: true });
};
