/** The demo's operator: a key under a passphrase, as felhom-opsign makes it, and the list of keys that the demo's agent obeys. */
import { randomInt } from 'node:crypto';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeKey } from '#opsign/keys';

export interface Operator {
  /** On a real operator's offline machine only. */
  key: string;
  /** What is to be typed; a real one is in somebody's head. */
  passphrase_file: string;
}

const WORDS =
  'apple autumn basket bridge candle cherry copper garden harbour island kettle ladder maple meadow orchard pepper'.split(' ');

const newPassphrase = (): string => Array.from({ length: 4 }, () => WORDS[randomInt(WORDS.length)]).join(' ');

const writeSecret = (path: string, text: string): string => {
  writeFileSync(path, text, { mode: 0o600 });
  chmodSync(path, 0o600);
  return path;
};

/** @param keysFile `opsign.authorized_keys`; the agent wants it and its directory to be writable by nobody else */
export const makeOperator = (dir: string, keysFile: string): Operator => {
  const place = join(dir, 'operator');
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const passphrase = newPassphrase();
  const { privatePem, publicLine } = makeKey({ name: 'demo-operator', passphrase });
  writeFileSync(keysFile, `${publicLine}\n`, { mode: 0o644 });
  chmodSync(keysFile, 0o644);
  return {
    key: writeSecret(join(place, 'opsign.key'), privatePem),
    passphrase_file: writeSecret(join(place, 'passphrase'), `${passphrase}\n`),
  };
};
