/** What two programs say of a device, recorded from real ones; and what is no answer, whatever it looks like. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CommandError, type Outcome, type RunForOutcome } from '#agent/ports/command';
import { createProbe, deviceFile } from '#agent/ports/probe';

const FIXTURES = join(import.meta.dirname, '../../../fixtures/drives/signatures');
const MIB = 1024 ** 2;
const NONE = '{"signatures":[]}';

/** As recorded: stderr is what begins with the program's name. */
const recorded = (name: string): { blkid: Outcome; wipefs: Outcome } => {
  const lines = readFileSync(join(FIXTURES, `${name}.blkid.txt`), 'utf8').split('\n');
  const exit = Number(lines.find((line) => line.startsWith('rc='))?.slice(3));
  const said = lines.filter((line) => !line.startsWith('rc='));
  const stderr = said.filter((line) => line.startsWith('blkid:')).join('\n');
  const stdout = said.filter((line) => !line.startsWith('blkid:')).join('\n');
  const listed = readFileSync(join(FIXTURES, `${name}.wipefs.json`), 'utf8');
  return { blkid: { exit, stdout, stderr }, wipefs: { exit: 0, stdout: listed, stderr: '' } };
};

type Answers = { blkid: Outcome; wipefs: Outcome; dd?: Outcome | Error; sfdisk?: Outcome | Error };

const TABLE: Outcome = { exit: 0, stdout: '{"partitiontable":{"label":"gpt"}}', stderr: '' };

const setup = ({ blkid, wipefs, dd = { exit: 0, stdout: '', stderr: '' }, sfdisk = TABLE }: Answers) => {
  const ran: string[][] = [];
  const run: RunForOutcome = async (name, args) => {
    ran.push([name, ...args]);
    const answer = { blkid, wipefs, dd, sfdisk }[name as 'blkid'];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { ran, read: () => createProbe(run).read('sdb', 64 * MIB) };
};

test.each([
  ['ext4', ['ext4'], 'e70fe0c6-4d83-4d7a-9dfe-1520fbe568ee'],
  ['xfs', ['xfs'], undefined],
  ['btrfs', ['btrfs'], '5d8b766f-6f97-4d98-85ea-ffd753045bf2'],
  ['exfat', ['exfat', 'dos'], 'EB0F-1B9D'],
  ['ntfs', ['ntfs', 'dos'], '5F686F6115A72AA8'],
  ['vfat', ['vfat', 'vfat', 'vfat'], 'B9DC-CF6C'],
  ['luks2', ['crypto_LUKS', 'crypto_LUKS'], undefined],
  ['lvm2', ['LVM2_member'], 'ebdCXt-wFBf-uh07-ltK1-NrK6-8mwP-t8oMoJ'],
  ['swap', ['swap'], undefined],
  ['dos', ['dos'], undefined],
  ['gpt', ['gpt', 'gpt', 'PMBR'], undefined],
])('%s', async (name, types, uuid) => {
  const found = await setup(recorded(name)).read();
  expect(found.signatures.map(({ type }) => type)).toEqual(types);
  expect(found.signatures.every(({ offset }) => offset !== null)).toBe(true);
  if (uuid !== undefined) expect(found.signatures[0]?.uuid).toBe(uuid);
  expect(found).toMatchObject({ ambivalent: false, nothing: false });
});

test('two file systems that exclude each other', async () => {
  const found = await setup(recorded('ambiguous')).read();
  expect(found).toMatchObject({ ambivalent: true, nothing: false });
  expect(new Set(found.signatures.map(({ type }) => type))).toEqual(new Set(['vfat', 'ext2']));
});

test('nothing, and all the places where something would be were read', async () => {
  const { read, ran } = setup(recorded('blank'));
  expect(await read()).toEqual({
    signatures: [],
    ambivalent: false,
    nothing: true,
    tableUuid: '',
    declared: null,
    partitionUuid: '',
  });
  const pieces = ran.filter(([name]) => name === 'dd').map((args) => args.slice(1));
  expect(pieces).toEqual([
    ['if=/dev/sdb', 'of=/dev/null', 'iflag=skip_bytes', 'skip=0', 'bs=65536', 'count=128', 'status=none'],
    ['if=/dev/sdb', 'of=/dev/null', 'iflag=skip_bytes', `skip=${60 * MIB}`, 'bs=65536', 'count=64', 'status=none'],
  ]);
});

test('a table and a partition have identities of their own', async () => {
  expect((await setup(recorded('gpt')).read()).tableUuid).toBe('2745b62c-c790-41aa-92eb-47f4d006594d');
  const stdout = 'DEVNAME=/dev/sdb1\nPART_ENTRY_SCHEME=gpt\nPART_ENTRY_UUID=9A0F6B1E-1111-2222-3333-444455556666\n';
  const empty = setup({ blkid: { exit: 0, stdout, stderr: '' }, wipefs: { exit: 0, stdout: NONE, stderr: '' } });
  expect(await empty.read()).toMatchObject({ partitionUuid: '9a0f6b1e-1111-2222-3333-444455556666', nothing: true });
});

test.each<[string, Outcome | Error, number | null]>([
  ['without partitions', TABLE, 0],
  ['with two', { ...TABLE, stdout: '{"partitiontable":{"partitions":[{},{}]}}' }, 2],
  ['that sfdisk does not take for one', new CommandError('/usr/sbin/sfdisk', 'exit', '', 1), null],
  ['where there is no sfdisk', new CommandError('/usr/sbin/sfdisk', 'start'), null],
])('a table %s', async (_what, sfdisk, declared) => {
  const { read, ran } = setup({ ...recorded('gpt'), sfdisk });
  expect((await read()).declared).toBe(declared);
  expect(ran).toContainEqual(['sfdisk', '--json', '/dev/sdb']);
});

test.each<[string, Outcome | Error]>([
  ['hangs', new CommandError('/usr/sbin/sfdisk', 'timeout')],
  ['gives another document', { ...TABLE, stdout: '[]' }],
  ['gives no list', { ...TABLE, stdout: '{"partitiontable":{"partitions":{}}}' }],
])('sfdisk %s: no answer', async (_what, sfdisk) => {
  await expect(setup({ ...recorded('gpt'), sfdisk }).read()).rejects.toThrow();
});

test('what blkid alone names is a signature too, with its name as it is', async () => {
  const stdout = 'LABEL=a\\ \\"b\\\'\nUUID=12\nTYPE=apfs\n';
  const { read } = setup({ blkid: { exit: 0, stdout, stderr: '' }, wipefs: { exit: 0, stdout: NONE, stderr: '' } });
  expect((await read()).signatures).toEqual([{ type: 'apfs', offset: null, uuid: '12', label: 'a "b\'' }]);
});

const BLANK = recorded('blank');
const UNREADABLE = new CommandError('/usr/bin/dd', 'exit', "1 dd: error reading '/dev/sdb': Input/output error", 1);

test.each<[string, Answers]>([
  ['blkid finds nothing and complains', { ...BLANK, blkid: { ...BLANK.blkid, stderr: 'blkid: /dev/sdb: Input/output error' } }],
  ['blkid finds something and complains', { ...recorded('ext4'), blkid: { ...recorded('ext4').blkid, stderr: 'warning' } }],
  ['wipefs complains', { ...BLANK, wipefs: { ...BLANK.wipefs, stderr: 'wipefs: error' } }],
  ['wipefs gives no JSON', { ...BLANK, wipefs: { ...BLANK.wipefs, stdout: '' } }],
  ['wipefs gives another document', { ...BLANK, wipefs: { ...BLANK.wipefs, stdout: '{"signatures":{}}' } }],
  ['wipefs lists what is not understood', { ...BLANK, wipefs: { ...BLANK.wipefs, stdout: '{"signatures":[{"type":"ext4"}]}' } }],
  ['both find nothing where nothing can be read', { ...BLANK, dd: UNREADABLE }],
])('no answer: %s', async (_what, answers) => {
  await expect(setup(answers).read()).rejects.toThrow();
});

test('something that only one of the two finds is there', async () => {
  const { read } = setup({ blkid: BLANK.blkid, wipefs: recorded('ext4').wipefs });
  expect(await read()).toMatchObject({ nothing: false, signatures: [{ type: 'ext4' }] });
});

test('a name of the kernel’s with a slash in it', () => expect(deviceFile('cciss!c0d0')).toBe('/dev/cciss/c0d0'));
