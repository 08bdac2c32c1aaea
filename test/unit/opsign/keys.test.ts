/** Keys as text: what keygen makes, and everything else that somebody may have in its place. */
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { OpsignFailed } from '#opsign/failed';
import { closedKeyIn, makeKey, openKey } from '#opsign/keys';
import { wrapKey } from '#opsign/pkcs8';
import { isPublicKey } from '#shared/grant';
import { keyIdOf } from '#shared/operator-keys';

const PASSPHRASE = 'correct horse battery';
// Each key that is made or opened costs a quarter of a second, so that guesses do.
const KEY = makeKey({ name: 'karl', passphrase: PASSPHRASE });
/** RFC 8037, appendix A.2. */
const OTHER_LINE = 'active 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo karl';
const PUBLIC = KEY.publicLine;

const pemOf = (der: Buffer): string =>
  `-----BEGIN ENCRYPTED PRIVATE KEY-----\n${der.toString('base64')}\n-----END ENCRYPTED PRIVATE KEY-----\n`;
const pkcs8 = (kind: 'ed25519' | 'ed448' | 'rsa', encrypted: boolean): string => {
  const { privateKey } = generateKeyPairSync(kind as 'rsa', { modulusLength: 2048 });
  return privateKey
    .export({ type: 'pkcs8', format: 'pem', ...(encrypted && { cipher: 'aes-256-cbc', passphrase: PASSPHRASE }) })
    .toString();
};
const wrapped = (kind: 'ed448' | 'rsa'): string => {
  const { privateKey } = generateKeyPairSync(kind as 'rsa', { modulusLength: 2048 });
  return pemOf(wrapKey(privateKey.export({ type: 'pkcs8', format: 'der' }), PASSPHRASE));
};
const inFile = (text: string): string => {
  const directory = mkdtempSync(join(tmpdir(), 'felhom-opsign-'));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  writeFileSync(join(directory, 'key'), text);
  return join(directory, 'key');
};
const openssl = (...args: string[]): string => execFileSync('/usr/bin/openssl', args, { stdio: 'pipe' }).toString();
const open = (text: string, passphrase = PASSPHRASE) => openKey(closedKeyIn(text, '"f"'), passphrase, '"f"');

describe('a key that keygen made', () => {
  test('is opened with its passphrase only', async () => {
    const key = await open(KEY.privatePem);
    expect(key).toMatchObject({ name: 'karl', x: PUBLIC.split(' ')[1] });
    expect(key?.kid).toBe(await keyIdOf(key?.x ?? ''));
    expect(isPublicKey(key?.x ?? '')).toBe(true);
    await expect(open(KEY.privatePem, 'Correct horse battery')).resolves.toBeNull();
  });

  test('says what it is for, and nothing secret, above the key', () => {
    expect(KEY.privatePem.split('\n').slice(0, 2)).toEqual([PUBLIC, '-----BEGIN ENCRYPTED PRIVATE KEY-----']);
    expect(PUBLIC).toMatch(/^active [A-Za-z0-9_-]{43} karl$/);
  });

  // RFC 8018, PBES2; RFC 7914, section 7.1: salt, N, r, p.
  test('is wrapped by scrypt (N 16384, r 8, p 8) and AES-256-CBC, as another program sees it', () => {
    const file = inFile(KEY.privatePem);
    // asn1parse takes the words above for a part of the key; what reads keys does not.
    const seen = openssl('asn1parse', '-in', inFile(KEY.privatePem.replace(`${PUBLIC}\n`, '')));
    expect(seen).toMatch(
      /:PBES2\n[\s\S]*:scrypt\n[\s\S]*INTEGER +:4000\n[\s\S]*INTEGER +:08\n[\s\S]*INTEGER +:08\n[\s\S]*:aes-256-cbc\n/,
    );
    expect(openssl('pkey', '-in', file, '-passin', `pass:${PASSPHRASE}`, '-noout', '-text')).toContain('ED25519 Private-Key');
  });

  test('is another one each time, and wrapped in another way', () => {
    const other = makeKey({ name: 'karl', passphrase: PASSPHRASE });
    expect(other.publicLine).not.toBe(KEY.publicLine);
    const salt = (pem: string) => pem.split('\n')[2]?.slice(50);
    expect(salt(other.privatePem)).not.toBe(salt(KEY.privatePem));
  });

  test('a passphrase is the same however a keyboard writes its letters', async () => {
    const { privatePem } = makeKey({ name: 'karl', passphrase: 'caf\u00e9 caf\u00e9 caf\u00e9' });
    await expect(open(privatePem, 'cafe\u0301 cafe\u0301 cafe\u0301')).resolves.not.toBeNull();
  });

  test.each(['', 'a b', 'k\u001b', '-x', 'x'.repeat(65), 'karl\n'])('cannot be called %j', (name) => {
    expect(() => makeKey({ name, passphrase: PASSPHRASE })).toThrow();
  });

  test('survives Windows and words around it', async () => {
    const { pem } = closedKeyIn(KEY.privatePem, '"f"');
    expect(closedKeyIn(KEY.privatePem.replaceAll('\n', '\r\n'), '"f"').pem).toBe(pem);
    expect(closedKeyIn(`the spare one\n${KEY.privatePem}\nend\n`, '"f"').pem).toBe(pem);
  });
});

const BODY = KEY.privatePem.split('\n').slice(2, -2).join('');
const DER = Buffer.from(BODY, 'base64');
const changed = (at: number, to: number): string => {
  const der = Buffer.from(DER);
  der[at] = to;
  return `${PUBLIC}\n${pemOf(der)}`;
};
/** Where the integers of scrypt stand: `02 02 40 00`, `02 01 08`, `02 01 08`. */
const N_AT = DER.indexOf(Buffer.from([2, 2, 0x40, 0])) + 2;

describe('what is no such key', () => {
  test.each([
    ['nothing', '', /holds no key/],
    ['only the line above it', `${PUBLIC}\n`, /holds no key/],
    ['something else', 'hello', /holds no key/],
    ['half of it', KEY.privatePem.slice(0, -60), /cut off or damaged/],
    ['its first line', KEY.privatePem.split('\n').slice(0, 2).join('\n'), /cut off or damaged/],
    ['a line less', KEY.privatePem.replace(/\n.*\n-----END/, '\n-----END'), /cut off or damaged/],
    ['an empty block', `${PUBLIC}\n${pemOf(Buffer.alloc(0))}`, /cut off or damaged/],
    ['another DER', `${PUBLIC}\n${pemOf(Buffer.from('3003020101', 'hex'))}`, /cut off or damaged/],
    ['DER of endless depth', `${PUBLIC}\n${pemOf(Buffer.alloc(6000, Buffer.from('3080', 'hex')))}`, /cut off or damaged/],
    ['no passphrase', `${PUBLIC}\n${pkcs8('ed25519', false)}`, /not protected by a passphrase/],
    ["node's own wrapping, PBKDF2", `${PUBLIC}\n${pkcs8('ed25519', true)}`, /could be guessed quickly/],
    ['scrypt with a smaller N', changed(N_AT, 0x20), /could be guessed quickly/],
    ['no line above it', KEY.privatePem.replace(`${PUBLIC}\n`, ''), /the line .* above the key is missing/],
    ['a lively name above it', KEY.privatePem.replace('karl', 'k\u001b[2J'), /the line .* above the key is missing/],
    ['a retired line above it', KEY.privatePem.replace('active', 'retired'), /the line .* above the key is missing/],
  ])('%s has its sentence', (_what, text, sentence) => {
    const reading = () => closedKeyIn(text, '"f"');
    expect(reading).toThrow(OpsignFailed);
    expect(reading).toThrow(sentence);
  });

  test.each(['ed448', 'rsa'] as const)('a key of the kind %s has its sentence', async (kind) => {
    await expect(open(`${PUBLIC}\n${wrapped(kind)}`)).rejects.toThrow(`is of the kind ${kind}; only Ed25519 keys`);
  });

  test("another key's line above it has its sentence", async () => {
    await expect(open(KEY.privatePem.replace(PUBLIC, OTHER_LINE))).rejects.toThrow(/another key's, so somebody changed the file/);
  });

  test('with any byte changed it is never opened as another key', async () => {
    const outcomes = new Set<string>();
    // In the object identifiers, the numbers and the lengths; in the encrypted part each try costs as much as a guess.
    for (const at of [...Array(20).keys(), N_AT + 4, DER.length - 40, DER.length - 1]) {
      const key = await Promise.resolve()
        .then(() => open(changed(at, (DER[at] ?? 0) ^ 0x11)))
        .catch((error: unknown) => (error instanceof OpsignFailed ? null : error));
      outcomes.add(key === null ? 'refused' : String(key));
    }
    expect([...outcomes]).toEqual(['refused']);
  });
});
