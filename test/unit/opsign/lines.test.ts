/** `inspect` and `verify`: what is said of a line that somebody sent. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OpsignFailed } from '#opsign/failed';
import { inspect } from '#opsign/inspect';
import type { Io } from '#opsign/io';
import { closedKeyIn, makeKey, openKey } from '#opsign/keys';
import { signGrant } from '#opsign/sign';
import { verify } from '#opsign/verify';

const NOW = Date.parse('2026-11-22T13:55:00Z');
const HOUR = 3_600_000;
const PASSPHRASE = 'correct horse battery';
const ID = `byid:backup.WDC_WD40.WD-12CD.4000787030016.${'0'.repeat(26)}`;
const MADE = makeKey({ name: 'karl', passphrase: PASSPHRASE });
const DIRECTORY = mkdtempSync(join(tmpdir(), 'felhom-opsign-'));
afterAll(() => rmSync(DIRECTORY, { recursive: true }));

let line: string;
let kid: string;
let jti: string;
beforeAll(async () => {
  const key = await openKey(closedKeyIn(MADE.privatePem, 'f'), PASSPHRASE, 'f');
  if (key === null) throw new Error('not its passphrase');
  const { text, claims } = await signGrant(key, { host: 'pve1-abc', durableId: ID }, NOW);
  [line, kid, jti] = [text, key.kid, claims.jti];
});

const heard = (stdin = '') => {
  const [out, err]: [string[], string[]] = [[], []];
  const io: Io = {
    out: async (text) => void out.push(text),
    err: (text) => void err.push(text),
    talkIsSeen: true,
    readIn: async () => stdin,
  };
  return { io, out, err };
};
const rows = () => [
  'operation   storage_wipe',
  'host        pve1-abc',
  'drive       WDC_WD40, 4.0 TB',
  'serial      WD-12CD',
  'role        backup',
  `durable id  ${ID}`,
  'signed at   2026-11-22 13:55 UTC',
  'good until  2026-11-23 13:55 UTC',
  'by          karl',
  `key         ${kid}`,
  `number      ${jti}`,
];
const part = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

describe('inspect', () => {
  test('says what a line says, from the command line and from stdin', async () => {
    const [given, piped] = [heard(), heard(`${line}\n`)];
    await inspect(line, given.io);
    await inspect(null, piped.io);
    expect(given.out).toEqual(rows());
    expect(piped.out).toEqual(rows());
    expect(given.err.join()).toContain('whether it is genuine, "felhom-opsign verify" tells');
  });

  test('also where the signature is worth nothing', async () => {
    const { io, out } = heard();
    await inspect(line.replace(/\.[^.]*$/, `.${part('\0'.repeat(64))}`), io);
    expect(out).toEqual(rows());
  });

  test.each<[string, () => string, string[]]>([
    [
      'no signature',
      () => `${part({ alg: 'none' })}.${part({ op: 'x' })}.`,
      ['header      {"alg":"none"}', 'payload     {"op":"x"}'],
    ],
    [
      'something lively in it',
      () => `${part({ alg: 'none' })}.${part('{"host":"\u001b[2J\u202e"}')}.${part('\0'.repeat(64))}`,
      ['header      {"alg":"none"}', 'payload     {"host":"\\u{1b}[2J\\u{202e}"}'],
    ],
    ['nothing', () => '', ['header      ']],
    ['words', () => 'no, thanks', [expect.stringMatching(/^header {6}[ -~]*$/) as unknown as string]],
  ])('a line with %s is shown as far as it can be, and refused', async (_what, text, shown) => {
    const { io, out } = heard();
    await expect(inspect(text(), io)).rejects.toThrow(/^No host accepts this line\. /);
    expect(out).toEqual(shown);
  });

  test('a line without end is not shown without end', async () => {
    const { io, out } = heard();
    await expect(inspect('A'.repeat(1_000_000), io)).rejects.toThrow(OpsignFailed);
    expect(out.join('').length).toBeLessThan(20_000);
  });
});

describe('verify', () => {
  const keysFile = (text: string): string => {
    writeFileSync(join(DIRECTORY, 'opsign.keys'), text);
    return join(DIRECTORY, 'opsign.keys');
  };

  test('says that a line is genuine, and what it says', async () => {
    const { io, out, err } = heard(`${line}\n`);
    await verify(null, keysFile(MADE.publicLine), io, () => NOW);
    expect(out).toEqual(rows());
    expect(err.join()).toContain('Genuine: signed with the key of karl');
  });

  /** RFC 8037, appendix A.2. */
  const OTHER = 'active 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo anna';
  test.each<[string, () => string, string, number, RegExp]>([
    ['by a key that is not on the list', () => line, OTHER, NOW, /not among those that may sign/],
    ['by a retired key', () => line, MADE.publicLine.replace('active', 'retired'), NOW, /is retired/],
    [
      'with one word changed',
      () => line.replace(/^[^.]*\.[^.]*/, (text) => text.replace(/.{9}$/, 'AAAAAAAAA')),
      MADE.publicLine,
      NOW,
      /./,
    ],
    [
      'with another end',
      () => line.replace(/\.[^.]*$/, `.${part('\0'.repeat(64))}`),
      MADE.publicLine,
      NOW,
      /signature is not genuine/,
    ],
    ['with two ends of line', () => `${line}\n\n`, MADE.publicLine, NOW, /not a signature as felhom-opsign prints it/],
    [
      'that is two days old',
      () => line,
      MADE.publicLine,
      NOW + 48 * HOUR + 1000,
      /good from 2026-11-22 13:55 UTC until .* clock here says/,
    ],
    ['from two days ahead', () => line, MADE.publicLine, NOW - 24 * HOUR - 1000, /clock here says/],
    ['where a line of the list is bad', () => line, `${MADE.publicLine}\nactive\n`, NOW, /opsign\.keys": Line 2 /],
  ])('a line %s is refused', async (_what, text, keys, now, sentence) => {
    const { io, out } = heard();
    const judged = verify(text(), keysFile(keys), io, () => now);
    await expect(judged).rejects.toThrow(OpsignFailed);
    await expect(judged).rejects.toThrow(sentence);
    expect(out).toEqual([]);
  });

  test.each([NOW + 48 * HOUR, NOW - 24 * HOUR])('clocks may differ by a day', async (now) => {
    await verify(line, keysFile(MADE.publicLine), heard().io, () => now);
  });

  test('a list that is not there is told so', async () => {
    await expect(verify(line, join(DIRECTORY, 'none'), heard().io, () => NOW)).rejects.toThrow(
      /list of keys ".*none" cannot be read/,
    );
  });
});
