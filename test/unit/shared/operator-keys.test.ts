import { generateKeyPairSync } from 'node:crypto';
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
