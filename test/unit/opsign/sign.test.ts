import { CompactSign } from 'jose';
import { beforeAll, describe, expect, test } from 'vitest';
import { closedKeyIn, makeKey, type OperatorKey, openKey } from '#opsign/keys';
import { signGrant } from '#opsign/sign';
import { GRANT_BYTES, GrantError, readGrant } from '#shared/grant';
import { readKeys } from '#shared/operator-keys';

const PASSPHRASE = 'correct horse battery';
const NOW = Date.parse('2026-11-22T13:55:00.987Z');
const WISH = { host: 'pve1-k3v7q2m5xw8r4t6y9zbc', durableId: `byid:backup.WDC_WD40.WD-1.4000787030016.${'0'.repeat(26)}` };

let key: OperatorKey;
let publicLine: string;
beforeAll(async () => {
  const made = makeKey({ name: 'karl', passphrase: PASSPHRASE });
  const opened = await openKey(closedKeyIn(made.privatePem, 'f'), PASSPHRASE, 'f');
  if (opened === null) throw new Error('not its passphrase');
  [key, publicLine] = [opened, made.publicLine];
});

describe('a signature', () => {
  test('says exactly this, for 24 hours', async () => {
    const { text, claims } = await signGrant(key, WISH, NOW);
    const [header, payload] = text.split('.').map((part) => Buffer.from(part, 'base64url').toString());
    expect(header).toBe(`{"alg":"EdDSA","typ":"felhom-grant+jwt","kid":"${key.kid}"}`);
    expect(payload).toBe(
      `{"op":"storage_wipe","host":"${WISH.host}","durable_id":"${WISH.durableId}","iat":1795355700,"exp":1795442100,` +
        `"jti":"${claims.jti}","sub":"karl"}`,
    );
    expect(claims.jti).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });

  test('is what jose makes of the same words', async () => {
    const { text } = await signGrant(key, WISH, NOW);
    const payload = Buffer.from(text.split('.')[1] ?? '', 'base64url');
    const header = { alg: 'EdDSA', typ: 'felhom-grant+jwt', kid: key.kid };
    await expect(new CompactSign(payload).setProtectedHeader(header).sign(key.privateKey)).resolves.toBe(text);
  });

  test('is accepted by the reader of the hosts, with the line that keygen printed', async () => {
    const { text, claims } = await signGrant(key, WISH, NOW);
    const keys = await readKeys(publicLine);
    await expect(readGrant(text, (kid) => keys.get(kid) ?? null)).resolves.toEqual({ claims, kid: key.kid, name: 'karl' });
  });

  test('with any character changed, lost or added is no signature', async () => {
    const { text } = await signGrant(key, WISH, NOW);
    const keys = await readKeys(publicLine);
    const reasons = new Set<unknown>();
    for (let at = 0; at < text.length; at++)
      for (const put of ['', '.', text[at] === 'A' ? 'B' : 'A', `${text[at]}=`]) {
        const line = text.slice(0, at) + put + text.slice(at + 1);
        if (line === text) continue;
        const outcome: unknown = await readGrant(line, (kid) => keys.get(kid) ?? null).catch((error: unknown) => error);
        reasons.add(outcome instanceof GrantError ? outcome.reason : outcome);
      }
    expect([...reasons].sort()).toEqual(['header', 'key-unknown', 'not-a-grant', 'signature']);
  });

  test('is another one each time', async () => {
    const [one, other] = await Promise.all([signGrant(key, WISH, NOW), signGrant(key, WISH, NOW)]);
    expect(one.claims.jti).not.toBe(other.claims.jti);
  });

  test('is short enough for every host and drive', async () => {
    const wish = { host: `h${'x'.repeat(199)}`, durableId: `byid:${'x'.repeat(195)}` };
    expect((await signGrant({ ...key, name: 'n'.repeat(64) }, wish, NOW)).text.length).toBeLessThanOrEqual(GRANT_BYTES);
  });

  test.each([
    [{ ...WISH, host: 'pve1;reboot' }],
    [{ ...WISH, host: '' }],
    [{ ...WISH, durableId: 'byid:`id`' }],
    [{ ...WISH, durableId: `byid:${'x'.repeat(196)}` }],
  ])('is never made for %j', async (wish) => {
    await expect(signGrant(key, wish, NOW)).rejects.toThrow(GrantError);
  });

  test('is never made with a key that is not what it is said to be', async () => {
    // RFC 8037, appendix A.2.
    const other = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
    await expect(signGrant({ ...key, x: other }, WISH, NOW)).rejects.toThrow(GrantError);
  });

  test.each([-1, Number.NaN, 1e18])('is never made at the time %d', async (now) => {
    await expect(signGrant(key, WISH, now)).rejects.toThrow(GrantError);
  });
});
