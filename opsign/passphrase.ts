/** Asking for passphrases: only on the terminal, and nothing of them is shown. */
import { OpsignFailed } from './failed.ts';
import { type ClosedKey, type OperatorKey, openKey } from './keys.ts';
import type { Terminal } from './terminal.ts';

const TRIES = 3;
export const PASSPHRASE_CHARS = 12;

/** Of a new key, typed twice. Rejects (`OpsignFailed`) after three tries. */
export const askNewPassphrase = async (terminal: Terminal): Promise<string> => {
  for (let left = TRIES; left > 0; left--) {
    const passphrase = await terminal.ask(`New passphrase (at least ${PASSPHRASE_CHARS} characters; nothing is shown):`, {
      shown: false,
    });
    if (Array.from(passphrase).length < PASSPHRASE_CHARS) {
      terminal.say(`That is shorter than ${PASSPHRASE_CHARS} characters. Several words are easy to remember and hard to guess.`);
    } else if ((await terminal.ask('The same once more:', { shown: false })) === passphrase) return passphrase;
    else terminal.say('These two are not the same.');
  }
  throw new OpsignFailed('No key was made: no passphrase was typed the same way twice.');
};

/** Opens the key. Rejects (`OpsignFailed`) after three tries. */
export const askForKey = async (terminal: Terminal, key: ClosedKey, where: string): Promise<OperatorKey> => {
  for (let left = TRIES; left > 0; left--) {
    const passphrase = await terminal.ask(`Passphrase of the key "${key.name}" (nothing is shown):`, { shown: false });
    const open = await openKey(key, passphrase, where);
    if (open !== null) return open;
    terminal.say('That is not the passphrase of this key.');
  }
  throw new OpsignFailed(
    `Nothing was signed: the passphrase of ${where} was wrong ${TRIES} times. If it is surely right, the file is damaged: take its copy.`,
  );
};
