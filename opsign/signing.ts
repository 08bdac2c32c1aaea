/** The default command: shows what would be destroyed, asks, and prints one signature. */
import { confirm, driveOf, summaryOf } from './confirm.ts';
import { OpsignFailed } from './failed.ts';
import type { Io } from './io.ts';
import { readKeyFile } from './key-file.ts';
import { askForKey } from './passphrase.ts';
import { signGrant, type Wish } from './sign.ts';
import type { Terminal } from './terminal.ts';
import { shown, timeText } from './words.ts';

export interface SigningWish extends Wish {
  op: string;
  keyFile: string;
}

/** Whoever is asked has seen this, wherever stderr goes. */
const tell = (io: Io, terminal: Terminal, lines: readonly string[]): void => {
  for (const line of lines) io.err(line);
  if (!io.talkIsSeen) for (const line of lines) terminal.say(line);
};

/** Rejects (`OpsignFailed`, `Interrupted`); then nothing was signed. */
export const signing = async (wish: SigningWish, io: Io, openTerminal: () => Terminal, nowMs: () => number): Promise<void> => {
  if (wish.op !== 'storage_wipe') throw new OpsignFailed(`Only -op storage_wipe can be signed, not ${shown(wish.op)}.`);
  const drive = driveOf(wish);
  const closed = await readKeyFile(wish.keyFile);
  const terminal = openTerminal();
  try {
    tell(io, terminal, [...summaryOf(wish, drive), '']);
    await confirm(terminal, drive);
    const key = await askForKey(terminal, closed, shown(wish.keyFile));
    const { text, claims } = await signGrant(key, wish, nowMs());
    io.err(
      `Signed by ${claims.sub} at ${timeText(claims.iat)} by the clock of this machine; good for 24 h, once, on that host only.`,
    );
    io.err('Carry the next line there, whole: "felhom-agent ops grant" on the host, or whoever asked you for it.');
    await io.out(text);
  } finally {
    terminal.close();
  }
};
