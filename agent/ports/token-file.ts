/** The file with the agent's Proxmox token. */
import { open } from 'node:fs/promises';

/** `user@realm!name=uuid` */
const TOKEN = /^[^\s:/@!=]+@[^\s:/@!=]+![A-Za-z][A-Za-z0-9._-]*=[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/;

/** Everything that is wrong with it is said with what corrects it, and never with what it holds. */
export const readTokenFile = async (path: string): Promise<string> => {
  const handle = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT')
      throw new Error(`The Proxmox token file ${path} cannot be read (${error.code}).`, { cause: error });
    throw new Error(
      `The Proxmox token file ${path} is missing. Make a token ("pveum user token add felhom@pve <node> --privsep 1") and write it there as one line: user@realm!name=uuid.`,
      { cause: error },
    );
  });
  try {
    const found = await handle.stat();
    if (!found.isFile()) throw new Error(`The Proxmox token file ${path} is not a file. Name the file in proxmox.token_file.`);
    const { mode, uid } = found;
    if ((mode & 0o077) !== 0)
      throw new Error(`The Proxmox token file ${path} can be read by others. Correct it with: chmod 600 ${path}`);
    if (uid !== 0 && uid !== process.getuid?.()) {
      throw new Error(`The Proxmox token file ${path} belongs to another user. Correct it with: chown root: ${path}`);
    }
    const token = (await handle.readFile('utf8')).trim();
    if (TOKEN.test(token)) return token;
    throw new Error(`The Proxmox token file ${path} must hold one line of the form user@realm!name=uuid, and nothing else.`);
  } finally {
    await handle.close();
  }
};
