/** `felhom-opsign verify`: whether a line is genuine, by the same reader as the hosts'. */
import { readFile } from 'node:fs/promises';
import { GRANT_SECONDS, type GrantClaims, GrantError, type GrantKey, readGrant } from '#shared/grant';
import { KeysError, readKeys } from '#shared/operator-keys';
import { OpsignFailed } from './failed.ts';
import { grantRows, lineOf } from './inspect.ts';
import type { Io } from './io.ts';
import { shown, timeText } from './words.ts';

const keysIn = async (file: string): Promise<ReadonlyMap<string, GrantKey>> => {
  try {
    return await readKeys(await readFile(file, 'utf8'));
  } catch (error) {
    if (error instanceof KeysError) throw new OpsignFailed(`${shown(file)}: ${error.message}`, { cause: error });
    throw new OpsignFailed(`The list of keys ${shown(file)} cannot be read.`, { cause: error });
  }
};

/** A host whose clock is the same as this one's would say so too: clocks may differ by a day. */
const refuseOld = ({ iat, exp }: GrantClaims, now: number): void => {
  if (iat <= now + GRANT_SECONDS && exp >= now - GRANT_SECONDS) return;
  throw new OpsignFailed(
    `It is genuine, but good from ${timeText(iat)} until ${timeText(exp)} only; the clock here says ${timeText(now)}.`,
  );
};

const genuine = async (line: string, keys: ReadonlyMap<string, GrantKey>) => {
  try {
    return await readGrant(line, (kid) => keys.get(kid) ?? null);
  } catch (error) {
    if (error instanceof GrantError) throw new OpsignFailed(error.message, { cause: error });
    throw error;
  }
};

/** Rejects (`OpsignFailed`) for any line that is not genuine. */
export const verify = async (given: string | null, keysFile: string, io: Io, nowMs: () => number): Promise<void> => {
  const keys = await keysIn(keysFile);
  const { claims, kid, name } = await genuine(await lineOf(given, io), keys);
  refuseOld(claims, Math.floor(nowMs() / 1000));
  for (const text of grantRows(claims, kid)) await io.out(text);
  io.err(`Genuine: signed with the key of ${name}. Only the host itself can tell whether it still waits for it.`);
};
