/** `password_file`: read by root before the child changes its account, so that the account itself need not be able to. */
import type { QuiesceApp } from '#shared/quiesce/config';
import { readTrusted } from './trust.ts';

/** Null where none is named. The message of an error never holds the password. */
export const readPassword = async (app: QuiesceApp): Promise<string | null> => {
  const path = 'password_file' in app ? app.password_file : '';
  if (path === '') return null;
  const text = await readTrusted(path, { secret: true });
  if (text === null) throw new Error(`password_file: there is no ${path}`);
  return text.replace(/\r?\n$/, '');
};
