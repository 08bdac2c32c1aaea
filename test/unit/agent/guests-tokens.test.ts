/** Tokens and limits, by themselves. */
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createFailedTries, fullBucket, isDuplicate, take } from '#agent/guests/limits';
import { bearer, hashSecret, makeToken, parseToken, sameHash } from '#agent/guests/tokens';

describe('tokens', () => {
  test('what is made can be read, and hashes the same', () => {
    const random = randomBytes(32);
    const token = makeToken(101, random);
    expect(token).toMatch(/^fht_101_[A-Za-z0-9_-]{43}$/);
    const parsed = parseToken(token);
    expect(parsed).toEqual({ vmid: 101, secret: random.toString('base64url') });
    expect(sameHash(hashSecret(parsed?.secret ?? ''), hashSecret(random.toString('base64url')))).toBe(true);
    expect(sameHash(hashSecret('a'), hashSecret('b'))).toBe(false);
  });

  test.each([
    '',
    'fht_101_',
    `fht_099_${'A'.repeat(43)}`,
    `fht_101_${'A'.repeat(42)}`,
    `fht_101_${'A'.repeat(44)}`,
    `fht_101_${'A'.repeat(42)}=`,
    ` fht_101_${'A'.repeat(43)}`,
  ])('%j is no token', (text) => expect(parseToken(text)).toBeNull());

  test.each<[string | undefined, string | null]>([
    [undefined, null],
    ['', null],
    ['Bearer', null],
    ['Bearer ', null],
    ['Basic abc', null],
    ['Bearer abc', 'abc'],
    ['bearer  abc ', 'abc'],
    ['Bearer a b', null],
    [`Bearer ${'a'.repeat(600)}`, null],
  ])('the header %j holds %j', (header, token) => expect(bearer(header)).toBe(token));
});

describe('limits', () => {
  test('a bucket gives one second at once, then its rate', () => {
    const bucket = fullBucket(20, 0);
    const taken = (now: number, tries: number) =>
      Array.from({ length: tries }, () => take(bucket, 20, now)).filter(Boolean).length;
    expect(taken(0, 30)).toBe(20);
    expect(taken(100, 30)).toBe(2);
    expect(taken(100_000, 30)).toBe(20);
  });

  test('over any span, no more than burst and rate', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 500 }), { maxLength: 200 }), (pauses) => {
        const bucket = fullBucket(10, 0);
        let now = 0;
        let granted = 0;
        for (const pause of pauses) {
          now += pause;
          if (take(bucket, 10, now)) granted += 1;
        }
        return granted <= 10 + (now * 10) / 1000;
      }),
    );
  });

  test('failed tries are counted by source, forgotten after a minute, and remembered for a thousand sources', () => {
    const tries = createFailedTries();
    const results = Array.from({ length: 22 }, () => tries.note('10.0.0.9', 0));
    expect(results.map(({ flooding }) => flooding).lastIndexOf(false)).toBe(19);
    expect(results.filter(({ first }) => first)).toHaveLength(1);
    expect(tries.note('10.0.0.8', 0).flooding).toBe(false);
    expect(tries.note('10.0.0.9', 59_999).flooding).toBe(true);
    expect(tries.note('10.0.0.9', 60_000).flooding).toBe(false);
    for (let i = 0; i < 21; i++) tries.note('first', 70_000);
    for (let i = 0; i < 1000; i++) tries.note(`source ${i}`, 70_000);
    expect(tries.note('first', 70_000).flooding).toBe(false);
  });

  test('another instance counts as a copy for a minute', () => {
    expect(isDuplicate(null, 'a', 0)).toBe(false);
    expect(isDuplicate({ id: 'a', at: 0 }, 'a', 1)).toBe(false);
    expect(isDuplicate({ id: 'a', at: 0 }, 'b', 59_999)).toBe(true);
    expect(isDuplicate({ id: 'a', at: 0 }, 'b', 60_000)).toBe(false);
  });
});
