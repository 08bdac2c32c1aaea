import { describe, expect, test } from 'vitest';
import { confirm, driveOf, summaryOf } from '#opsign/confirm';
import { OpsignFailed } from '#opsign/failed';
import { type DriveFacts, driveDurableId } from '#shared/durable-id';
import { fakeTerminal } from './fake-terminal.ts';

const HOST = 'pve1-k3v7q2m5xw8r4t6y9zbc';
const DRIVE: DriveFacts = {
  role: 'backup',
  model: 'WDC WD40EFRX',
  serial: 'WD-WCC7K4AB12CD',
  sizeBytes: 4_000_787_030_016,
  digest: '7k2m9q4w8x1c5v3b6n0zhjdfgr',
};
const idOf = (facts: Partial<DriveFacts> = {}): string => driveDurableId({ ...DRIVE, ...facts });
const drive = (facts: Partial<DriveFacts> = {}) => driveOf({ host: HOST, durableId: idOf(facts) });
const text = (facts: Partial<DriveFacts> = {}) => summaryOf({ host: HOST, durableId: idOf(facts) }, drive(facts)).join('\n');

/** T26: what a page, a drive or a colleague may put into the command. */
const LIVELY = [
  ['a quote', `'`],
  ['a double quote', '"'],
  ['a semicolon', ';reboot'],
  ['backticks', '`id`'],
  ['a substitution', '$(id)'],
  ['a pipe', '|sh'],
  ['a space', ' '],
  ['a path', '/../etc'],
  ['an end of line', '\n'],
  ['an escape', '\u001b[2J'],
  ['a bidi mark', '\u202e'],
  ['a 0 byte', '\0'],
  ['a letter that looks like another', '\u0430'],
  ['4 KiB', 'x'.repeat(4096)],
] as const;

const refusal = (host: string, durableId: string): unknown => {
  try {
    return driveOf({ host, durableId });
  } catch (error) {
    return error instanceof OpsignFailed ? error.message : error;
  }
};

describe('what is asked for', () => {
  test.each(LIVELY)('a host with %s signs nothing, and nothing of it is shown', (_what, piece) => {
    const hosts = [`pve1${piece}`, `${piece}pve1`, `pv${piece}e1`];
    expect(hosts.map((host) => refusal(host, idOf()))).toEqual(Array(3).fill(refusal('?', idOf())));
    expect(refusal('?', idOf())).toMatch(/^What follows -host is not the id of a host/);
  });

  test.each(LIVELY)('a drive with %s signs nothing, and nothing of it is shown', (_what, piece) => {
    const ids = [`${idOf()}${piece}`, `${piece}${idOf()}`, idOf().replace('WD-', `WD-${piece}`)];
    expect(ids.map((id) => refusal(HOST, id))).toEqual(Array(3).fill(refusal(HOST, '?')));
    expect(refusal(HOST, '?')).toMatch(/^What follows -durable-id is not the id of a drive/);
  });

  test("a customer's own drive needs no signature", () => {
    expect(() => drive({ role: 'user-data' })).toThrow(/its owner confirms/);
  });

  test('a file system is no drive', () => {
    expect(() => driveOf({ host: HOST, durableId: 'uuid:6f1d7f1e-0d6f-4a0e-9a55-3f6a5f0b7c11' })).toThrow(
      /not the id of a drive/,
    );
  });
});

describe('what will be destroyed', () => {
  test('a backup drive', () => {
    expect(text().split('\n')).toEqual([
      'You are asked to permit that A BACKUP DRIVE is erased.',
      '',
      '  host      pve1-k3v7q2m5xw8r4t6y9zbc',
      '  drive     WDC_WD40EFRX, 4.0 TB (4000787030016 bytes)',
      '  serial    WD-WCC7K4AB....',
      '  role      backup',
      '',
      'Everything on this drive is erased. Every backup on it is lost. It cannot be undone.',
      'Nothing happens yet: the host erases it when it is given the line that this command prints.',
      '',
      "Now read the last 4 characters of its serial number from the drive's own label, or from",
      '"felhom-agent ops list" on that host.',
      'Do not take them from a page, a message or a call: whoever asks you for this signature can show',
      'you any number there. If the two do not agree, do not sign.',
    ]);
  });

  test('a system drive', () => {
    expect(text({ role: 'system' })).toContain('A SYSTEM DRIVE is erased');
    expect(text({ role: 'system' })).toContain('The host, or guests that run on it, may never start again.');
    expect(text({ role: 'system' })).not.toContain('backup');
  });

  test.each([
    [500_107_862_016, '500.1 GB (500107862016 bytes)'],
    [64_000_000, '64.0 MB (64000000 bytes)'],
    [null, 'of unknown size'],
  ])('its size: %s', (sizeBytes, words) => expect(text({ sizeBytes })).toContain(`  drive     WDC_WD40EFRX, ${words}\n`));

  test('what is asked for is nowhere on the screen', () => {
    expect(text()).not.toContain('12CD');
    expect(text({ serial: '' })).not.toContain('dfgr');
    expect(text({ serial: 'AB1' })).not.toContain('AB1');
  });
});

describe('the question', () => {
  const WHOLE_SERIAL = 'x'.repeat(70);
  test.each<[string, Partial<DriveFacts>, string, string]>([
    ['the end of the serial number', {}, 'last 4 characters of its serial number', '12CD'],
    ['in small letters', {}, 'last 4 characters of its serial number', '12cd'],
    ['with spaces around it', {}, 'last 4 characters of its serial number', ' 12CD '],
    ['with what no id can hold', { serial: 'AB 12.3' }, 'last 4 characters of its serial number', '12.3'],
    ['with a space in it', { serial: 'ABCD 123' }, 'last 4 characters of its serial number', ' 123'],
    ['a short serial number, whole', { serial: 'AB1' }, 'serial number', 'ab1'],
    ['one of four characters, whole', { serial: 'AB12' }, 'serial number', 'AB12'],
    ['no serial number: the end of the id', { serial: '' }, 'last 4 characters of its durable id', 'dfgr'],
    ['a cut serial number: the end of the id', { serial: WHOLE_SERIAL }, 'last 4 characters of its durable id', 'dfgr'],
  ])('%s', async (_what, facts, question, answer) => {
    const { terminal, asked } = fakeTerminal(answer);
    await confirm(terminal, drive(facts));
    expect(asked).toEqual([{ question: `The ${question}:`, shown: true }]);
    expect(text(facts)).toContain(`Now read the ${question} `);
  });

  test('where it can be read', () => {
    expect(text()).toContain('or from\n"felhom-agent ops list" on that host.\n');
    expect(text({ serial: '' })).toContain('its durable id from "felhom-agent ops show" on that host.\n');
  });

  test.each([
    [['', '0000', '12C'], {}],
    [['WD-WCC7K4AB12CD', '2CD', '112CD'], {}],
    [['____', '1234', 'yes'], {}],
    [['', ' ', '_'], { serial: '' }],
    [['', ' ', '.'], { serial: '_' }],
  ])('three wrong answers sign nothing', async (answers, facts) => {
    const { terminal, left, screen } = fakeTerminal(...answers, '12CD');
    await expect(confirm(terminal, drive(facts))).rejects.toThrow(OpsignFailed);
    expect(left).toEqual(['12CD']);
    expect(screen).toHaveLength(3);
  });

  test('the third answer may be right', async () => {
    await confirm(fakeTerminal('1', '2', '12CD').terminal, drive());
  });
});
