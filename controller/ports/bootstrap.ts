/** `bootstrap.json`, read again whenever the host has pushed another one. */
import { readFile, stat } from 'node:fs/promises';
import { Check } from 'typebox/schema';
import { Bootstrap } from '#shared/bootstrap';
import { ownError } from './agent-error.ts';

export interface Trust {
  bootstrap: Bootstrap;
  /** Changes with the content. */
  generation: number;
}

export interface BootstrapSource {
  /** Looks whether the file is still the one that was read; costs one stat. */
  current(): Promise<Trust>;
  /** Reads the file whatever its times say. */
  reread(): Promise<Trust>;
}

const parse = (text: string): Bootstrap => {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Without the parser's message as cause: it may quote the token.
    throw ownError('bootstrap-invalid');
  }
  if (!Check(Bootstrap, value)) throw ownError('bootstrap-invalid');
  return value as Bootstrap;
};

/** What tells one version of the file from the next. */
const stampOf = async (path: string): Promise<string> => {
  const { mtimeNs, ctimeNs, size, ino } = await stat(path, { bigint: true });
  return [mtimeNs, ctimeNs, size, ino].join(' ');
};

export const bootstrapFile = (path: string): BootstrapSource => {
  let stamp = '';
  let text = '';
  let trust: Trust | null = null;

  const load = async (found: string): Promise<Trust> => {
    const read = await readFile(path, 'utf8').catch((error: unknown) => {
      throw ownError('bootstrap-missing', error);
    });
    if (trust === null || read !== text) trust = { bootstrap: parse(read), generation: (trust?.generation ?? 0) + 1 };
    text = read;
    stamp = found;
    return trust;
  };
  /** The stamp is taken before the text, so that a change in between is seen next time. */
  const look = () =>
    stampOf(path).catch((error: unknown) => {
      throw ownError('bootstrap-missing', error);
    });

  return {
    current: async () => {
      const found = await look();
      return trust !== null && found === stamp ? trust : load(found);
    },
    reread: async () => load(await look()),
  };
};
