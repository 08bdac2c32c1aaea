import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { KeysError, keyIdOf, keyLine, readKeys } from '#shared/operator-keys';

const newX = (): string => generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }).x ?? '';
const [X, Y] = [newX(), newX()];

describe('the list of keys', () => {
  test('is read by key id; blank lines and comments are skipped', async () => {
    const keys = await readKeys(`# ours\n\nactive ${X} karl\r\n  \t# gone\n\tretired\t${Y}  anna@example.com \n`);
    expect(Object.fromEntries(keys)).toEqual({
      [await keyIdOf(X)]: { state: 'active', x: X, name: 'karl' },
      [await keyIdOf(Y)]: { state: 'retired', x: Y, name: 'anna@example.com' },
    });
  });

  test('gives back what keyLine wrote', async () => {
    const key = { state: 'active', x: X, name: 'karl' } as const;
    expect([...(await readKeys(keyLine(key))).values()]).toEqual([key]);
  });

  test('an empty one permits nothing', async () => {
    expect((await readKeys('')).size).toBe(0);
  });

  // RFC 8037, appendix A.3.
  test('the key id is the JWK thumbprint', async () => {
    await expect(keyIdOf('11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo')).resolves.toBe(
      'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
    );
  });

  test.each([
    [`active ${X} karl\nretired ${X} karl`],
    [`retired ${X} karl\nactive ${X} karl`],
    [`active ${X} karl\nretired ${X} karl\nactive ${X} other`],
  ])('a key that is retired once is retired', async (text) => {
    expect([...(await readKeys(text)).values()].map(({ state }) => state)).toEqual(['retired']);
  });

  test.each([
    ['another state', `ACTIVE ${X} karl`],
    ['a placeholder in the place of a key', `active ${'A'.repeat(43)} karl`],
    ['no state', `${X} karl`],
    ['a comment behind it', `active ${X} karl # retired`],
    ['no name', `active ${X}`],
    ['a lively name', `active ${X} ka\u001b[2Jrl`],
    ['a key of another length', `active ${X}A karl`],
    ['a key with padding', `active ${X}= karl`],
    ['a key with bits that nobody reads', `active ${X.slice(0, -1)}B karl`],
    ['a space that is none', `active\u00a0${X} karl`],
    ['a byte order mark', `\ufeffactive ${X} karl`],
    ['an SSH key', 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ karl@host'],
    ['a 0 byte', `active ${X} karl\0`],
  ])('%s refuses the whole list, and says where', async (_what, line) => {
    const reading = readKeys(`# ours\nactive ${Y} anna\n${line}\n`);
    await expect(reading).rejects.toThrow(KeysError);
    await expect(reading).rejects.toThrow(/^Line 3 /);
    await expect(reading).rejects.not.toThrow(/karl/);
  });
});

/** Points of small order, and the same with the sign of x. libsodium, ge25519_has_small_order. */
const WEAK = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0000000000000000000000000000000000000000000000000000000000000080',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
].map((hex) => Buffer.from(hex, 'hex'));

/** R as one of them and S as 0: of a message in a few, somebody without any private key has signed it. */
const isForged = (key: Buffer): boolean => {
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: key.toString('base64url') }, format: 'jwk' });
  return Array.from({ length: 64 }, (_one, number) => Buffer.from(`message ${number}`)).some((message) =>
    WEAK.some((r) => verify(null, message, publicKey, Buffer.concat([r, Buffer.alloc(32)]))),
  );
};

test.each(WEAK.map((key) => [key.toString('hex'), key] as const))(
  'the key %s, with which anybody can sign, is refused',
  async (_hex, key) => {
    expect(isForged(key)).toBe(true);
    await expect(readKeys(`active ${key.toString('base64url')} karl`)).rejects.toThrow(/^Line 1 /);
  },
);

test('no such thing can be done with a key that was made', () => {
  expect(isForged(Buffer.from(X, 'base64url'))).toBe(false);
});
