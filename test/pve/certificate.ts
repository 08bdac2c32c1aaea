/** The node's own certificate: self-signed RSA, as `pve-ssl.pem`, with the fingerprint that clients pin. */

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import forge from 'node-forge';
import type { NodeFiles } from './world.ts';

export interface Certificate {
  key: string;
  cert: string;
  /** SHA-256 of the leaf, 64 lower-case hex digits. */
  fingerprint: string;
  notBefore: number;
  notAfter: number;
}

const DAYS = 24 * 60 * 60 * 1000;

export const makeCertificate = (node: string): Certificate => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const forgeKey = forge.pki.privateKeyFromPem(key);
  const cert = forge.pki.createCertificate();
  cert.publicKey = forge.pki.rsa.setPublicKey(forgeKey.n, forgeKey.e);
  // Positive and without padding, whatever the random bytes are: X.690, 8.3.2.
  cert.serialNumber = `4${randomBytes(8).toString('hex').slice(1)}`;
  cert.validity.notBefore = new Date(Date.now() - DAYS);
  cert.validity.notAfter = new Date(Date.now() + 730 * DAYS);
  const name = [
    { name: 'organizationalUnitName', value: 'PVE Cluster Node' },
    { name: 'organizationName', value: 'Proxmox Virtual Environment' },
    { name: 'commonName', value: `${node}.local` },
  ];
  cert.setSubject(name);
  cert.setIssuer(name);
  cert.setExtensions([
    { name: 'basicConstraints', cA: false },
    { name: 'extKeyUsage', serverAuth: true },
    {
      name: 'subjectAltName',
      altNames: [
        { type: 7, ip: '127.0.0.1' },
        { type: 2, value: 'localhost' },
        { type: 2, value: node },
      ],
    },
  ]);
  cert.sign(forgeKey, forge.md.sha256.create());
  const der = Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(cert)).getBytes(), 'latin1');
  return {
    key,
    cert: forge.pki.certificateToPem(cert),
    fingerprint: createHash('sha256').update(der).digest('hex'),
    notBefore: Math.floor(cert.validity.notBefore.getTime() / 1000),
    notAfter: Math.floor(cert.validity.notAfter.getTime() / 1000),
  };
};

export const writeCertificate = (certificate: Certificate, node: string, files: NodeFiles): void => {
  const dir = join(files.configDir, 'nodes', node);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'pve-ssl.pem'), certificate.cert);
  writeFileSync(join(dir, 'pve-ssl.key'), certificate.key, { mode: 0o640 });
};

/** As Proxmox prints fingerprints: upper case, colon separated. */
export const colonFingerprint = (hex: string): string => (hex.toUpperCase().match(/../g) ?? []).join(':');
