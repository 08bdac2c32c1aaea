/** Prints a guest's bootstrap file, once. */
import type { Bootstrap } from '#shared/bootstrap';
import { CommandFailed, type Io } from './io.ts';

export const printBootstrap = (bootstrap: Bootstrap, { out, err }: Io): void => {
  out(JSON.stringify(bootstrap, null, 2));
  err(`Put this into guest ${bootstrap.vmid} as /etc/felhom/bootstrap.json, owner root:felhom, mode 0640.`);
  err('It holds the token and is shown only this once.');
};

/** So that nobody makes a token that then is nowhere. */
export const requirePrint = (print: boolean | undefined, command: string): void => {
  if (print !== true)
    throw new CommandFailed(`Nothing was done. This version can only show the file: "felhom-agent ${command} --print".`);
};
