/** Who this agent is: host id, key and leaf certificate, made once. Guests pin the leaf, so it is never replaced silently. */
import { createPrivateKey, randomBytes, X509Certificate } from 'node:crypto';
import { normalizeFingerprint } from '#shared/pin';
import type { MakeLeaf } from '../ports/certificate.ts';
import type { StateFiles } from '../ports/state-files.ts';
import { HOST_ID_BYTES, makeHostId } from './host-id.ts';

export interface TrustPorts {
  files: StateFiles;
  makeLeaf: MakeLeaf;
  hostname: () => string;
}

export interface AgentIdentity {
  hostId: string;
  key: string;
  certificate: string;
  /** SHA-256 of the leaf, 64 lower-case hex digits. */
  fingerprint: string;
}

/** What the files say that is there; what was never made is null. */
export interface StoredIdentity {
  hostId: string | null;
  fingerprint: string | null;
}

const HOST_ID = 'host_id';
const KEY = 'tls.key';
const CERTIFICATE = 'tls.crt';

export const fingerprintOf = (certificate: string): string => {
  const fingerprint = normalizeFingerprint(new X509Certificate(certificate).fingerprint256);
  if (fingerprint === null) throw new Error('X509Certificate gave no SHA-256 fingerprint');
  return fingerprint;
};

/** Reads the identity without making anything. */
export const readIdentity = async (files: StateFiles, configured: string | null): Promise<StoredIdentity> => {
  const certificate = await files.read(CERTIFICATE);
  return {
    hostId: configured ?? (await readHostId(files)),
    fingerprint: certificate === null ? null : fingerprintOf(certificate),
  };
};

const readHostId = async (files: StateFiles): Promise<string | null> => {
  const stored = (await files.read(HOST_ID))?.trim();
  if (stored === undefined) return null;
  if (/^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$/.test(stored)) return stored;
  throw new Error(
    `${files.directory}/${HOST_ID} does not hold a host id. Put it back from a copy, or write it as host_id into the configuration.`,
  );
};

/** Reads the identity, and makes what was never made. A half or unfitting pair stops the start. */
export const ensureIdentity = async (
  { files, makeLeaf, hostname }: TrustPorts,
  configured: string | null,
  addresses: readonly string[],
): Promise<AgentIdentity> => {
  const hostId = configured ?? (await readHostId(files)) ?? (await newHostId(files, hostname()));
  const [key, certificate] = [await files.read(KEY), await files.read(CERTIFICATE)];
  if (key === null && certificate === null) {
    const leaf = await makeLeaf(hostId, addresses);
    // The key first: a crash in between leaves a key alone, which nobody has pinned yet, and the message says so.
    await files.write(KEY, leaf.key);
    await files.write(CERTIFICATE, leaf.certificate);
    return { hostId, ...leaf, fingerprint: fingerprintOf(leaf.certificate) };
  }
  if (key === null || certificate === null) throw new Error(halfPair(files.directory, key === null ? KEY : CERTIFICATE));
  if (!belongTogether(key, certificate)) {
    throw new Error(
      `${KEY} and ${CERTIFICATE} in ${files.directory} do not belong together or cannot be read. Put both back from the same copy. ` +
        'If there is none, remove both: the agent then makes new ones, and every guest must be given a new bootstrap file.',
    );
  }
  return { hostId, key, certificate, fingerprint: fingerprintOf(certificate) };
};

const newHostId = async (files: StateFiles, hostname: string): Promise<string> => {
  const hostId = makeHostId(hostname, randomBytes(HOST_ID_BYTES));
  await files.write(HOST_ID, `${hostId}\n`);
  return hostId;
};

const halfPair = (directory: string, missing: string): string =>
  `${directory}/${missing} is missing while its counterpart is there. Put it back from a copy. If this is the first start and it was ` +
  'interrupted, or there is no copy, remove the counterpart: the agent then makes both anew, and guests that are enrolled ' +
  'must be given a new bootstrap file.';

const belongTogether = (key: string, certificate: string): boolean => {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
};
