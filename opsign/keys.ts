/** The operator's key: as text under a passphrase, with its public line above it, and opened for signing. */
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { isOperatorName, isPublicKey } from '#shared/grant';
import { keyIdOf, keyLine } from '#shared/operator-keys';
import { OpsignFailed } from './failed.ts';
import { passphraseBytes, wrapKey, wrappingOf } from './pkcs8.ts';

/** What anybody may know of a key. */
export interface PublicKey {
  /** The raw Ed25519 public key, base64url. */
  x: string;
  /** The operator's, as given to keygen. */
  name: string;
}

export interface OperatorKey extends PublicKey {
  kid: string;
  privateKey: KeyObject;
}

/** What a key file's text is, before it is opened. */
export interface ClosedKey extends PublicKey {
  pem: string;
}

const LINE_CHARS = 64;

const pemOf = (der: Buffer): string => {
  const lines = der.toString('base64').match(new RegExp(`.{1,${LINE_CHARS}}`, 'g')) ?? [];
  return ['-----BEGIN ENCRYPTED PRIVATE KEY-----', ...lines, '-----END ENCRYPTED PRIVATE KEY-----', ''].join('\n');
};

/** The line for `opsign.keys`. */
export const publicLineOf = ({ x, name }: PublicKey): string => keyLine({ state: 'active', x, name });

const publicPart = (privateKey: KeyObject): string => privateKey.export({ format: 'jwk' }).x ?? '';

/**
 * A new key. `privatePem` is what a key file holds: the public line, then the private key under the passphrase (what stands above a PEM
 * block is for people, RFC 7468, section 2). `publicLine` is for `opsign.keys`.
 */
export const makeKey = ({
  name,
  passphrase,
}: {
  name: string;
  passphrase: string;
}): { privatePem: string; publicLine: string } => {
  if (!isOperatorName(name)) throw new Error('not a name that a key can have');
  const { privateKey } = generateKeyPairSync('ed25519');
  const publicLine = publicLineOf({ x: publicPart(privateKey), name });
  const der = wrapKey(privateKey.export({ type: 'pkcs8', format: 'der' }), passphrase);
  return { privatePem: `${publicLine}\n${pemOf(der)}`, publicLine };
};

const BLOCK = /^-----BEGIN ([A-Z0-9 ]+)-----$\n([A-Za-z0-9+/=\n]*)^-----END \1-----$/m;
const PUBLIC_LINE = /^active (\S+) (\S+)$/m;

const ANEW = 'Make a new key with "felhom-opsign keygen", and on the hosts mark this one as retired in opsign.keys.';
const COPY = 'Take the copy that was put away when the key was made.';

/** Reads what is not secret, and whether the rest is as keygen makes it. Throws `OpsignFailed`; `where` names the file in its sentences. */
export const closedKeyIn = (text: string, where: string): ClosedKey => {
  if (!text.includes('-----BEGIN ')) throw new OpsignFailed(`${where} holds no key. ${COPY}`);
  const [pem, label, body] = BLOCK.exec(text.replaceAll('\r\n', '\n')) ?? [];
  if (pem === undefined || body === undefined) throw new OpsignFailed(`The key in ${where} is cut off or damaged. ${COPY}`);
  if (label !== 'ENCRYPTED PRIVATE KEY')
    throw new OpsignFailed(
      `The key in ${where} is not protected by a passphrase as keygen does it, so it signs nothing. ${ANEW}`,
    );
  const wrapping = wrappingOf(Buffer.from(body, 'base64'));
  if (wrapping === 'damaged') throw new OpsignFailed(`The key in ${where} is cut off or damaged. ${COPY}`);
  if (wrapping === 'weak')
    throw new OpsignFailed(
      `The passphrase of the key in ${where} could be guessed quickly: it is not protected by scrypt as keygen does it. ${ANEW}`,
    );
  const [, x, name] = PUBLIC_LINE.exec(text) ?? [];
  if (x === undefined || name === undefined || !isPublicKey(x) || !isOperatorName(name))
    throw new OpsignFailed(`In ${where} the line "active <public key> <name>" above the key is missing or damaged. ${COPY}`);
  return { pem, x, name };
};

/** Null: not its passphrase. Nobody can tell that from a key of which some bytes were changed. */
const unwrapped = (pem: string, passphrase: string): KeyObject | null => {
  try {
    return createPrivateKey({ key: pem, format: 'pem', passphrase: passphraseBytes(passphrase) });
  } catch {
    return null;
  }
};

/** Null: not its passphrase. Throws `OpsignFailed` for a key that can sign no grant. */
export const openKey = async ({ pem, x, name }: ClosedKey, passphrase: string, where: string): Promise<OperatorKey | null> => {
  const privateKey = unwrapped(pem, passphrase);
  if (privateKey === null) return null;
  const { asymmetricKeyType: type = 'unknown' } = privateKey;
  if (type !== 'ed25519')
    throw new OpsignFailed(
      `The key in ${where} is of the kind ${type}; only Ed25519 keys, which keygen makes, can sign. ${ANEW}`,
    );
  if (publicPart(privateKey) !== x)
    throw new OpsignFailed(`The line above the key in ${where} is another key's, so somebody changed the file. ${COPY}`);
  return { privateKey, x, name, kid: await keyIdOf(x) };
};
