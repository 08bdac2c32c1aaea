/** What Proxmox's configuration directory tells of this node: its name, and the certificate that its API serves. */
import { X509Certificate } from 'node:crypto';
import { access, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { normalizeFingerprint } from '#shared/pin';

/** `/etc/pve/local` is a link to `nodes/<name>`. Null while pmxcfs is not mounted. */
export const nodeNameIn = (configDir: string): Promise<string | null> =>
  readlink(join(configDir, 'local')).then(
    (target) => basename(target),
    () => null,
  );

/** The file that pveproxy serves: the custom one if it and its key are there (pve-manager:PVE/Service/pveproxy.pm). */
const certificateFile = async (local: string): Promise<string> => {
  const custom = join(local, 'pveproxy-ssl.pem');
  try {
    await Promise.all([access(custom), access(join(local, 'pveproxy-ssl.key'))]);
    return custom;
  } catch {
    return join(local, 'pve-ssl.pem');
  }
};

/** SHA-256 of the leaf, which stands first in its file. Read anew at each call: never what a peer shows. */
export const nodeFingerprint = async (configDir: string): Promise<string> => {
  const file = await certificateFile(join(configDir, 'local'));
  const fingerprint = normalizeFingerprint(new X509Certificate(await readFile(file)).fingerprint256);
  if (fingerprint === null) throw new Error(`${file} gave no SHA-256 fingerprint`);
  return fingerprint;
};
