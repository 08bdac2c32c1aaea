/** `felhom-opsign keygen`: a new key, in a file of its own. */
import { isOperatorName } from '#shared/grant';
import { OpsignFailed } from './failed.ts';
import type { Io } from './io.ts';
import { refuseExisting, writeKeyFile } from './key-file.ts';
import { makeKey } from './keys.ts';
import { askNewPassphrase } from './passphrase.ts';
import type { Terminal } from './terminal.ts';
import { shown } from './words.ts';

interface Wanted {
  file: string;
  name: string;
}

/** Prints the line for `opsign.keys`. Rejects (`OpsignFailed`). */
export const keygen = async ({ file, name }: Wanted, io: Io, openTerminal: () => Terminal): Promise<void> => {
  if (!isOperatorName(name))
    throw new OpsignFailed(
      'A name is 1 to 64 letters, digits and . _ @ + - only, the first one a letter or digit: your own, as in "karl" or "karl@example.com".',
    );
  await refuseExisting(file);
  const terminal = openTerminal();
  try {
    terminal.say(`A new key for ${name}, in ${shown(file)}.`);
    terminal.say(
      'Whoever has this file and its passphrase can permit that any drive is erased. Nobody can recover the passphrase.',
    );
    const { privatePem, publicLine } = makeKey({ name, passphrase: await askNewPassphrase(terminal) });
    await writeKeyFile(file, privatePem);
    io.err(`Made ${shown(file)}. Put a copy away, offline. This line goes into /etc/felhom/opsign.keys on every host:`);
    await io.out(publicLine);
  } finally {
    terminal.close();
  }
};
