/** `felhom-opsign inspect`: what a line says, whoever wrote it. */
import { readDriveDurableId } from '#shared/durable-id';
import { GRANT_BYTES, type GrantClaims, GrantError, inspectGrant } from '#shared/grant';
import { OpsignFailed } from './failed.ts';
import type { Io } from './io.ts';
import { inert, sizeText, timeText } from './words.ts';

const row = (word: string, text: string): string => `${word.padEnd(12)}${text}`;

const driveRows = (durableId: string): string[] => {
  const drive = readDriveDurableId(durableId);
  if (drive === null) return [];
  return [row('drive', `${drive.model}, ${sizeText(drive.sizeBytes)}`), row('serial', drive.serial), row('role', drive.role)];
};

/** A grant's claims, which are plain words and times all of them. */
export const grantRows = ({ op, host, durable_id, iat, exp, jti, sub }: GrantClaims, kid: string): string[] => [
  row('operation', op),
  row('host', host),
  ...driveRows(durable_id),
  row('durable id', durable_id),
  row('signed at', timeText(iat)),
  row('good until', timeText(exp)),
  row('by', sub),
  row('key', kid),
  row('number', jti),
];

/** The line without the one end of line that came with it. */
export const lineOf = async (given: string | null, io: Io): Promise<string> =>
  (given ?? (await io.readIn())).replace(/\r?\n$/, '');

/** Whatever base64url it holds, as text that does no harm. */
const looseRows = (line: string): string[] =>
  line
    .slice(0, 2 * GRANT_BYTES)
    .split('.')
    .slice(0, 2)
    .map((part, index) => row(index === 0 ? 'header' : 'payload', inert(Buffer.from(part, 'base64url').toString('utf8'))));

/** Rejects (`OpsignFailed`) for a line that no host would accept, having shown what can be read of it. */
export const inspect = async (given: string | null, io: Io): Promise<void> => {
  const line = await lineOf(given, io);
  try {
    const { claims, kid } = inspectGrant(line);
    for (const text of grantRows(claims, kid)) await io.out(text);
    io.err('This is what the line says; whether it is genuine, "felhom-opsign verify" tells.');
  } catch (error) {
    if (!(error instanceof GrantError)) throw error;
    for (const text of looseRows(line)) await io.out(text);
    throw new OpsignFailed(`No host accepts this line. ${error.message}`, { cause: error });
  }
};
