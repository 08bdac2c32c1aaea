import { createHmac, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { GRANT_BYTES, type GrantClaims, type GrantFault, type GrantKey, grantText, inspectGrant, readGrant } from '#shared/grant';
import { keyIdOf } from '#shared/operator-keys';

const CLAIMS: GrantClaims = {
  op: 'storage_wipe',
  host: 'pve1-k3v7q2m5xw8r4t6y9zbc',
  durable_id: 'byid:backup.Drive.S1.500000000000.0123456789abcdefghjkmnpqrs',
  iat: 1_800_000_000,
  exp: 1_800_086_400,
  jti: 'AAAAAAAAAAAAAAAAAAAAAA',
  sub: 'bela',
};

let privateKey: KeyObject;
let kid = '';
let retired = '';
let foreignKid = '';
let foreign: KeyObject;
const keys = new Map<string, GrantKey>();
const pair = (curve: 'ed25519') => {
  const made = generateKeyPairSync(curve);
  return { key: made.privateKey, x: made.privateKey.export({ format: 'jwk' }).x ?? '' };
};
beforeAll(async () => {
  const [one, two, three] = [pair('ed25519'), pair('ed25519'), pair('ed25519')];
  privateKey = one.key;
  kid = await keyIdOf(one.x);
  keys.set(kid, { x: one.x, name: 'bela', state: 'active' });
  retired = await keyIdOf(two.x);
  keys.set(retired, { x: two.x, name: 'bela-old', state: 'retired' });
  foreign = three.key;
  foreignKid = await keyIdOf(three.x);
});

const b64 = (text: string | Buffer): string => Buffer.from(text).toString('base64url');
const header = (members: object = {}): string => JSON.stringify({ alg: 'EdDSA', typ: 'felhom-grant+jwt', kid, ...members });
const payload = (members: object = {}): string => JSON.stringify({ ...CLAIMS, ...members });
/** Any two texts, signed as they are. */
const signed = (head: string, body: string, key: KeyObject = privateKey): string => {
  const text = `${b64(head)}.${b64(body)}`;
  return `${text}.${b64(sign(null, Buffer.from(text), key))}`;
};
const read = (text: string) => readGrant(text, (id) => keys.get(id) ?? null);

test('what felhom-opsign signs is read, with the key that signed it', async () => {
  const text = grantText(CLAIMS, kid);
  const line = `${text}.${b64(sign(null, Buffer.from(text), privateKey))}`;
  await expect(read(line)).resolves.toEqual({ claims: CLAIMS, kid, name: 'bela' });
  expect(signed(header(), payload())).toBe(line);
  expect(inspectGrant(line)).toEqual({ claims: CLAIMS, kid });
});

const without = (name: keyof GrantClaims): string =>
  JSON.stringify(Object.fromEntries(Object.entries(CLAIMS).filter(([key]) => key !== name)));
/** The last of 86 characters carries two bits of the signature, and four that nobody reads. */
const lastChanged = (text: string): string => text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1);
const hs256 = (head: string): string => {
  const text = `${b64(head)}.${b64(payload())}`;
  return `${text}.${b64(
    createHmac('sha256', keys.get(kid)?.x ?? '')
      .update(text)
      .digest(),
  )}`;
};

const TABLE: [what: string, fault: GrantFault, make: () => string][] = [
  ['nothing', 'not-a-grant', () => ''],
  ['no signature', 'not-a-grant', () => `${b64(header())}.${b64(payload())}.`],
  ['two parts', 'not-a-grant', () => `${b64(header())}.${b64(payload())}`],
  ['four parts', 'not-a-grant', () => `${signed(header(), payload())}.AA`],
  ['alg none', 'header', () => signed(header({ alg: 'none' }), payload())],
  ['alg none without a signature', 'not-a-grant', () => `${b64(header({ alg: 'none' }))}.${b64(payload())}.`],
  ['alg HS256, the public key as its secret', 'not-a-grant', () => hs256(header({ alg: 'HS256' }))],
  ['alg HS256 in the header alone', 'header', () => signed(header({ alg: 'HS256' }), payload())],
  ['alg Ed25519', 'header', () => signed(header({ alg: 'Ed25519' }), payload())],
  ['Ed448', 'not-a-grant', () => signed(header(), payload(), generateKeyPairSync('ed448').privateKey)],
  ['no kid', 'header', () => signed(JSON.stringify({ alg: 'EdDSA', typ: 'felhom-grant+jwt' }), payload())],
  ['no typ', 'header', () => signed(JSON.stringify({ alg: 'EdDSA', kid }), payload())],
  ['typ in capitals', 'header', () => signed(header({ typ: 'FELHOM-GRANT+JWT' }), payload())],
  ['an unknown key', 'key-unknown', () => signed(header({ kid: foreignKid }), payload(), foreign)],
  ["an unknown key under a known one's name", 'signature', () => signed(header(), payload(), foreign)],
  ['a retired key', 'key-retired', () => signed(header({ kid: retired }), payload())],
  [
    'a key of its own in the header',
    'header',
    () => signed(header({ jwk: foreign.export({ format: 'jwk' }) }), payload(), foreign),
  ],
  ['jku', 'header', () => signed(header({ jku: 'https://example.invalid' }), payload())],
  ['x5c', 'header', () => signed(header({ x5c: [] }), payload())],
  ['crit', 'header', () => signed(header({ crit: ['exp'] }), payload())],
  ['b64 false', 'header', () => signed(header({ b64: false, crit: ['b64'] }), payload())],
  [
    'a header in another order',
    'header',
    () => signed(JSON.stringify({ typ: 'felhom-grant+jwt', alg: 'EdDSA', kid }), payload()),
  ],
  ['a header with a second alg', 'header', () => signed(header().replace('{', '{"alg":"none",'), payload())],
  ['no op', 'claims', () => signed(header(), without('op'))],
  ['no host', 'claims', () => signed(header(), without('host'))],
  ['no durable id', 'claims', () => signed(header(), without('durable_id'))],
  ['no iat', 'claims', () => signed(header(), without('iat'))],
  ['no exp', 'claims', () => signed(header(), without('exp'))],
  ['no jti', 'claims', () => signed(header(), without('jti'))],
  ['no sub', 'claims', () => signed(header(), without('sub'))],
  ['another op', 'claims', () => signed(header(), payload({ op: 'key_add' }))],
  ['an extra member', 'claims', () => signed(header(), payload({ fstype: 'ext4' }))],
  ['__proto__', 'claims', () => signed(header(), payload().replace('{', '{"__proto__":{},'))],
  ['the same member twice', 'claims', () => signed(header(), payload().replace('{', '{"host":"other",'))],
  ['the same member twice, alike', 'claims', () => signed(header(), payload().replace('}', ',"sub":"bela"}'))],
  [
    'members in another order',
    'claims',
    () => signed(header(), JSON.stringify(Object.fromEntries(Object.entries(CLAIMS).reverse()))),
  ],
  ['exp as a fraction', 'claims', () => signed(header(), payload({ exp: CLAIMS.exp - 0.5 }))],
  ['exp written as a fraction', 'claims', () => signed(header(), payload().replace('1800086400', '1800086400.0'))],
  ['exp written with an exponent', 'claims', () => signed(header(), payload().replace('1800086400', '18000864e2'))],
  ['exp as text', 'claims', () => signed(header(), payload({ exp: String(CLAIMS.exp) }))],
  ['exp before iat', 'claims', () => signed(header(), payload({ exp: CLAIMS.iat - 1 }))],
  ['exp at iat', 'claims', () => signed(header(), payload({ exp: CLAIMS.iat }))],
  ['good for 24 h and a second', 'claims', () => signed(header(), payload({ exp: CLAIMS.iat + 86_401 }))],
  ['good for 31 years', 'claims', () => signed(header(), payload({ exp: CLAIMS.iat + 1e9 }))],
  ['times beyond what can be written', 'claims', () => signed(header(), payload({ iat: 9e15, exp: 9e15 + 60 }))],
  ['a negative time', 'claims', () => signed(header(), payload({ iat: -60, exp: 60 }))],
  ['a short jti', 'claims', () => signed(header(), payload({ jti: 'AAAA' }))],
  ['a jti with loose bits', 'claims', () => signed(header(), payload({ jti: 'AAAAAAAAAAAAAAAAAAAAAB' }))],
  ['a host with a blank', 'claims', () => signed(header(), payload({ host: 'a b' }))],
  ['a durable id with a semicolon', 'claims', () => signed(header(), payload({ durable_id: 'byid:a;b' }))],
  ['a name with an escape', 'claims', () => signed(header(), payload({ sub: 'a\u001b[2J' }))],
  ['an array', 'claims', () => signed(header(), '[]')],
  ['null', 'claims', () => signed(header(), 'null')],
  ['no JSON', 'claims', () => signed(header(), 'bela')],
  ['blanks in the payload', 'claims', () => signed(header(), payload().replaceAll(',', ', '))],
  ['a newline at the payload', 'claims', () => signed(header(), `${payload()}\n`)],
  ['escaped letters', 'claims', () => signed(header(), payload().replace('bela', '\\u0062ela'))],
  ['a byte order mark', 'header', () => signed(`\ufeff${header()}`, payload())],
  ['its last character left behind', 'not-a-grant', () => signed(header(), payload()).slice(0, -1)],
  ['its last two characters left behind', 'not-a-grant', () => signed(header(), payload()).slice(0, -2)],
  ['padding', 'not-a-grant', () => `${signed(header(), payload())}==`],
  ['base64 instead of base64url', 'not-a-grant', () => signed(header(), payload()).replace('.', '+.')],
  ['a newline at the end', 'not-a-grant', () => `${signed(header(), payload())}\n`],
  ['a blank before', 'not-a-grant', () => ` ${signed(header(), payload())}`],
  ['a line broken in two', 'not-a-grant', () => signed(header(), payload()).replace(/^(.{72})/, '$1\n')],
  ['another last character, the same bytes', 'not-a-grant', () => lastChanged(signed(header(), payload()))],
  [
    'a changed payload',
    'signature',
    () => {
      const [head, , tail] = signed(header(), payload()).split('.');
      return `${head}.${b64(payload({ host: 'pve2-k3v7q2m5xw8r4t6y9zbc' }))}.${tail}`;
    },
  ],
  ['3 KiB', 'too-long', () => signed(header(), payload({ sub: 'b'.repeat(3072) }))],
  ['one byte too many', 'too-long', () => 'a'.repeat(GRANT_BYTES + 1)],
];

test.each(TABLE)('%s is refused (%s)', async (_what, reason, make) => {
  await expect(read(make())).rejects.toMatchObject({ name: 'GrantError', reason });
});

test('nothing is signed that no reader would accept', () => {
  expect(() => grantText({ ...CLAIMS, exp: CLAIMS.iat + 86_401 }, kid)).toThrow(/longer than 24 h/);
  expect(() => grantText({ ...CLAIMS, durable_id: '$(reboot)' }, kid)).toThrow(/durable id/);
  expect(() => grantText(CLAIMS, 'short')).toThrow(/begins in another way/);
});

test('the sentences say nothing of what the text holds but the key', async () => {
  const said = await Promise.all(TABLE.map(([, , make]) => read(make()).catch((error: Error) => error.message)));
  for (const sentence of said) expect(sentence).not.toMatch(/[^\x20-\x7e]|a;b|pve2/);
});
