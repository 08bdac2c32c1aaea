/**
 * Private keys under a passphrase: PKCS#8 (RFC 5958) with PBES2 (RFC 8018) and scrypt (RFC 7914, section 7), which node:crypto reads
 * but cannot make: its own are wrapped with 2,048 rounds of PBKDF2, which a graphics card tries by the million.
 */
import { createCipheriv, randomBytes, scryptSync } from 'node:crypto';
import asn1 from 'node-forge/lib/asn1.js';

/** 128 * n * r bytes at once: OpenSSL, and so node:crypto, refuses to read what takes 32 MiB or more. */
const SCRYPT = { N: 2 ** 14, r: 8, p: 8 };
const SALT_BYTES = 16;
const BLOCK_BYTES = 16;
const KEY_BYTES = 32;

const PBES2 = '1.2.840.113549.1.5.13';
const SCRYPT_OID = '1.3.6.1.4.1.11591.4.11';
const AES_256_CBC = '2.16.840.1.101.3.4.1.42';

type Node = ReturnType<typeof asn1.create>;
const { UNIVERSAL } = asn1.Class;

/** node-forge keeps bytes as strings, a character each. */
const binary = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

const sequence = (...parts: Node[]): Node => asn1.create(UNIVERSAL, asn1.Type.SEQUENCE, true, parts);
const oid = (dotted: string): Node => asn1.create(UNIVERSAL, asn1.Type.OID, false, asn1.oidToDer(dotted).getBytes());
const octets = (bytes: Uint8Array): Node => asn1.create(UNIVERSAL, asn1.Type.OCTETSTRING, false, binary(bytes));
const integer = (value: number): Node => asn1.create(UNIVERSAL, asn1.Type.INTEGER, false, asn1.integerToDer(value).getBytes());

/** One form for all passphrases that look the same: keyboards differ in how they write `é`. Unicode, Standard Annex 15. */
export const passphraseBytes = (passphrase: string): Buffer => Buffer.from(passphrase.normalize('NFC'), 'utf8');

/** @param key a private key as PKCS#8. @returns DER of an EncryptedPrivateKeyInfo. */
export const wrapKey = (key: Uint8Array, passphrase: string): Buffer => {
  const [salt, iv] = [randomBytes(SALT_BYTES), randomBytes(BLOCK_BYTES)];
  const cipher = createCipheriv('aes-256-cbc', scryptSync(passphraseBytes(passphrase), salt, KEY_BYTES, SCRYPT), iv);
  const encrypted = Buffer.concat([cipher.update(key), cipher.final()]);
  const derivation = sequence(oid(SCRYPT_OID), sequence(octets(salt), integer(SCRYPT.N), integer(SCRYPT.r), integer(SCRYPT.p)));
  const wrapped = sequence(sequence(oid(PBES2), sequence(derivation, sequence(oid(AES_256_CBC), octets(iv)))), octets(encrypted));
  return Buffer.from(asn1.toDer(wrapped).getBytes(), 'latin1');
};

const part = (node: Node, index: number): Node => {
  const found = Array.isArray(node.value) ? node.value[index] : undefined;
  if (found === undefined || typeof found === 'string') throw new Error('not an EncryptedPrivateKeyInfo');
  return found;
};

const oidOf = (node: Node): string => {
  if (typeof node.value !== 'string' || node.type !== asn1.Type.OID) throw new Error('not an object identifier');
  return asn1.derToOid(node.value);
};

const integerOf = (node: Node): number => {
  if (typeof node.value !== 'string' || node.type !== asn1.Type.INTEGER) throw new Error('not an integer');
  return Number(`0x${Buffer.from(node.value, 'latin1').toString('hex') || '0'}`);
};

/** What one guess of the passphrase costs, for `wrapKey` and for what is at least as good. */
const isAsCostly = (parameters: Node): boolean => {
  const [n, r, p] = [1, 2, 3].map((index) => integerOf(part(parameters, index))) as [number, number, number];
  return n >= SCRYPT.N && n * r * p >= SCRYPT.N * SCRYPT.r;
};

/** How well a key is protected. `damaged`: it is none, or not whole. */
export const wrappingOf = (der: Uint8Array): 'scrypt' | 'weak' | 'damaged' => {
  try {
    const algorithm = part(asn1.fromDer(binary(der)), 0);
    if (oidOf(part(algorithm, 0)) !== PBES2) return 'weak';
    const derivation = part(part(algorithm, 1), 0);
    if (oidOf(part(derivation, 0)) !== SCRYPT_OID) return 'weak';
    return isAsCostly(part(derivation, 1)) ? 'scrypt' : 'weak';
  } catch {
    return 'damaged';
  }
};
