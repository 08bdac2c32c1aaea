/** `felhom-opsign pubkey`: what the hosts are given of a key. */
import { keyIdOf } from '#shared/operator-keys';
import type { Io } from './io.ts';
import { readKeyFile } from './key-file.ts';
import { publicLineOf } from './keys.ts';

/** Rejects (`OpsignFailed`). */
export const pubkey = async (file: string, io: Io): Promise<void> => {
  const key = await readKeyFile(file);
  io.err(`Key ${await keyIdOf(key.x)}. This line goes into /etc/felhom/opsign.keys on every host:`);
  await io.out(publicLineOf(key));
};
