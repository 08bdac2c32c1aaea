/** Makes the agent's key and self-signed certificate. */
import { generateKeyPair, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';

/** PEM texts. */
export interface Leaf {
  key: string;
  certificate: string;
}
export type MakeLeaf = (commonName: string, addresses: readonly string[]) => Promise<Leaf>;

/**
 * Trust is the pin, never the dates: a leaf that ran out would cut every guest off at once, and a host whose clock has lost its
 * battery must not serve one that is not valid yet. RFC 5280, 4.1.2.5: the last moment means "no expiry".
 */
const NOT_BEFORE = new Date('2025-01-01T00:00:00Z');
const NOT_AFTER = new Date('9999-12-31T23:59:59Z');

/** X.520's upper bound for a common name. */
const COMMON_NAME_CHARS = 64;
const IP_NAME = 7;
const DNS_NAME = 2;

/** Node makes the key in its thread pool; node-forge, which is large, is loaded for the moment of signing only. */
export const makeLeaf: MakeLeaf = async (commonName, addresses) => {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 3072,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const { default: forge } = await import('node-forge');
  const key = forge.pki.privateKeyFromPem(privateKey);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.setRsaPublicKey(key.n, key.e);
  // Positive, not zero, at most 20 octets: RFC 5280, 4.1.2.2.
  certificate.serialNumber = `4${randomBytes(16).toString('hex').slice(1)}`;
  certificate.validity.notBefore = NOT_BEFORE;
  certificate.validity.notAfter = NOT_AFTER;
  const subject = [{ name: 'commonName', value: commonName.slice(0, COMMON_NAME_CHARS) }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, keyEncipherment: true, critical: true },
    { name: 'extKeyUsage', serverAuth: true },
    {
      name: 'subjectAltName',
      altNames: [
        { type: DNS_NAME, value: commonName.replaceAll(/[^A-Za-z0-9.-]/g, '-') },
        ...addresses.filter((address) => isIP(address) !== 0 && !address.includes('%')).map((ip) => ({ type: IP_NAME, ip })),
      ],
    },
  ]);
  certificate.sign(key, forge.md.sha256.create());
  return { key: privateKey, certificate: forge.pki.certificateToPem(certificate) };
};
