/** The customer's flows for drives over real TLS: what is sent, what is never sent, and what is never taken for success. */
import { afterEach, describe, expect, test, vi } from 'vitest';
import { createAssign } from '#controller/disks/assign';
import { createEject } from '#controller/disks/eject';
import { createFormat } from '#controller/disks/format';
import { ERROR_STATUS, type ErrorCode } from '#shared/errors';
import type { Disk } from '#shared/wire/disks';
import {
  backupDrive,
  disk,
  doneJob,
  emptyLooking,
  formatJob,
  HOST,
  idOf,
  listing,
  pendingOp,
  UUID,
  waitingOp,
} from '../unit/controller/disks/samples.ts';
import { cleanUp } from './controller-agent.ts';
import { cut, type Played, play, refuses, type Script, type Scripted, says, silent } from './drive-script.ts';

afterEach(cleanUp);

const FORMAT = 'POST /disks/format';
const drive = emptyLooking();
const FRESH = idOf(drive);
const SENTENCE = 'It looks empty, but it was not read to its end. Confirm that it may be erased.';

const needsConfirmation = (of: Disk = drive, device = of.name, durableId = idOf(of)): Scripted =>
  refuses(FORMAT, 'needs-confirmation', SENTENCE, { needsConfirmation: { durableId, device: `/dev/${device}` } });
const underWay = says(
  { vmid: 101, device: 'sdc', formatted: false, data_bearing: false, reason: 'It goes on.', job_id: 'fmt-1', durable_id: '' },
  202,
);
const formatted = says({
  ...{ vmid: 101, device: 'sdc', formatted: true, data_bearing: false, reason: '' },
  ...{ job_id: 'fmt-1', durable_id: `uuid:${UUID}` },
});

const WISH = { drive: 'sdc', fstype: 'ext4', grant: null };
const TYPED = ['WDC WD40EFRX-68N', 'ABCD'];

const format = async (answers: Script['answers'], typed?: (string | null)[], change: object = {}, disks: Disk[] = [drive]) => {
  const played = await play({ disks, answers }, typed);
  return { outcome: await createFormat(played.ports)({ ...WISH, ...change }), played };
};

const confirmations = ({ sent }: Played) =>
  sent.filter(([, body]) => (body as { confirmed?: unknown } | null)?.confirmed !== undefined);
const all = ({ out, told }: Played): string => [...out, ...told].join('\n');

describe('format', () => {
  test('a blank drive is formatted at once, and the next command is named', async () => {
    const { outcome, played } = await format({ [FORMAT]: [formatted] });
    expect(outcome).toBe('done');
    expect(played.sent[0]).toEqual([FORMAT, { device: 'sdc', fstype: 'ext4' }]);
    expect(played.sent.slice(1)).toEqual([['GET /jobs/fmt-1', null]]);
    expect(played.out).toContain('felhom-controller disks assign sdc --name data');
  });

  test("a drive with data: what it is and the agent's sentence are shown, both are typed, the fresh id confirms once, the job is followed", async () => {
    const job = [says(formatJob()), says(formatJob({ phase: 'making' })), says(formatJob({ phase: 'later' })), says(doneJob())];
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(), underWay], job }, [...TYPED]);
    expect(outcome).toBe('done');
    expect(played.out.join('\n')).toMatch(/model +WDC WD40EFRX-68N\n.*serial number +WD-WCC7K4ABCD\n.*size +500\.1 GB/);
    expect(played.told.join('\n')).toContain(SENTENCE);
    expect(played.asked).toEqual(['Its model: ', 'The last 4 characters of its serial number: ']);
    expect(played.sent.slice(0, 2)).toEqual([
      [FORMAT, { device: 'sdc', fstype: 'ext4' }],
      [FORMAT, { device: 'sdc', fstype: 'ext4', durable_id: FRESH, confirmed: true }],
    ]);
    expect(FRESH).not.toBe(drive.durable_id);
    expect(played.told.filter((line) => line.startsWith('Under way'))).toEqual([
      'Under way: erasing what was on it …',
      'Under way: making the file system …',
      'Under way: later …',
    ]);
    expect(played.out.at(-1)).toBe('felhom-controller disks assign sdc --name data');
  });

  test.each([
    ['other letters and blanks', ['  wdc wd40EFRX-68n ', ' ab cd ']],
    ['a slip, then what it is', ['WDC', 'WDC WD40EFRX-68N', 'WD-WCC7K4ABCD', 'abcd']],
  ])('typed with %s, it is confirmed', async (_what, typed) => {
    const { outcome } = await format({ [FORMAT]: [needsConfirmation(), formatted] }, [...typed]);
    expect(outcome).toBe('done');
  });

  test.each<[string, (string | null)[] | undefined]>([
    ['without a terminal', undefined],
    ['Ctrl-C at the first question', [null]],
    ['Ctrl-C at the second', [TYPED[0] ?? '', null]],
    ['nothing typed', ['', '', '']],
    ['a part of the model', ['WDC', 'WD40EFRX-68N', 'WDC WD40EFRX-68']],
    ['more than the model', ['WDC WD40EFRX-68N ABCD', 'WDC WD40EFRX-68N ABCD', 'WDC WD40EFRX-68N.']],
    ['a part of the end of the serial number', [TYPED[0] ?? '', 'BCD', 'CD', 'ABC']],
    ['yes', ['yes', 'y', 'sdc']],
  ])('%s: nothing is confirmed', async (_what, typed) => {
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(), formatted] }, typed && [...typed]);
    expect(outcome).toBe('needs-confirmation');
    expect(played.sent).toHaveLength(1);
    expect(all(played)).toMatch(/Nothing was erased/);
  });

  test.each<[string, Partial<Disk>, string[], string[]]>([
    ['neither model nor serial number', { model: '', serial: '' }, ['Its name: ', 'Its size: '], ['SDC', '500,1 gb']],
    ['no serial number', { serial: '' }, ['Its model: ', 'Its size: '], ['wdc wd40efrx-68n', '500.1GB']],
    ['no model', { model: '' }, ['Its name: ', 'The last 4 characters of its serial number: '], ['sdc', 'ABCD']],
    [
      'a short serial number',
      { serial: 'A1' },
      ['Its model: ', 'The last 2 characters of its serial number: '],
      [TYPED[0] ?? '', 'a1'],
    ],
  ])('a drive with %s', async (_what, change, questions, typed) => {
    const one = emptyLooking(change);
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(one), formatted] }, [...typed], {}, [one]);
    expect(played.asked).toEqual(questions);
    expect(outcome).toBe('done');
  });

  test('a part that was named: the whole drive is shown, typed and confirmed', async () => {
    const part = disk({ ...drive, name: 'sdc1', type: 'part', durable_id: `uuid:${UUID}` });
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(), formatted] }, [...TYPED], { drive: 'sdc1' }, [
      drive,
      part,
    ]);
    expect(outcome).toBe('done');
    expect(played.sent.map(([, body]) => (body as { device: string }).device)).toEqual(['sdc1', 'sdc']);
  });

  test('an id that was made of another drive than the one that is listed under its name is never confirmed', async () => {
    const other = needsConfirmation(emptyLooking({ serial: 'WD-OTHERABCD' }));
    const { outcome, played } = await format({ [FORMAT]: [other, formatted] }, [...TYPED]);
    expect(outcome).toBe('refused');
    expect(played.sent).toHaveLength(1);
    expect(played.asked).toEqual([]);
  });

  test('a drive that changed in between: refused again, and the person begins anew', async () => {
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(), needsConfirmation()] }, [...TYPED]);
    expect(outcome).toBe('needs-confirmation');
    expect(confirmations(played)).toHaveLength(1);
    expect(played.out.at(-1)).toBe('felhom-controller disks format sdc --fstype ext4');
  });

  const finishedAgo = (ms: number) => [says(doneJob({ finished_at: new Date(Date.now() - ms).toISOString() }))];
  const used = disk({ ...drive, state: 'mounted', mount_path: '/mnt/felhom/data' });

  test.each<[string, Disk, number]>([
    ['an hour ago', drive, 3_600_000],
    ['just now, and connected since', used, 5_000],
  ])('a drive that was formatted %s is asked for anew, and erased only when it is confirmed', async (_what, one, ago) => {
    const answers = { [FORMAT]: [formatted, needsConfirmation(), formatted], job: finishedAgo(ago) };
    const { outcome, played } = await format(answers, [...TYPED], {}, [one]);
    expect([outcome, confirmations(played).length]).toEqual(['done', 1]);
    expect(played.told[0]).toMatch(
      /was formatted before \((\d+ (hour|minutes|seconds) ago|just now)\), and nothing was erased now/,
    );
    expect(played.sent[2]).toEqual([FORMAT, { device: 'sdc', fstype: 'ext4', durable_id: 'anew' }]);
  });

  test('a drive that was formatted a minute ago is what was asked for', async () => {
    const { outcome, played } = await format({ [FORMAT]: [formatted], job: finishedAgo(60_000) });
    expect([outcome, played.sent.length]).toEqual(['done', 2]);
    expect(played.told[0]).toMatch(/^sdc was formatted \d+ seconds ago; nothing was erased now\.$/);
  });

  test.each([
    ['failed', 'It could not be written. Have the drive checked.'],
    ['interrupted', 'The power went out. Format it again.'],
  ] as const)('a job that ended as %s', async (state, error) => {
    const { outcome, played } = await format({
      [FORMAT]: [underWay],
      job: [says(formatJob()), says(formatJob({ state, error }))],
    });
    expect(outcome).toBe('refused');
    expect(all(played)).toContain(error);
    expect(all(played)).not.toMatch(/is formatted/);
  });

  test('Ctrl-C while it goes on leaves it going on, and says how to look', async () => {
    const played = await play({ disks: [drive], answers: { [FORMAT]: [underWay], job: [says(formatJob())] } });
    const ended = createFormat(played.ports)(WISH);
    await vi.waitFor(() => expect(played.told.join()).toContain('Under way'), 20_000);
    played.interrupt();
    expect(await ended).toBe('not-known');
    expect(played.told.at(-1)).toMatch(/goes on by itself/);
    expect(played.out).toEqual(['felhom-controller disks job fmt-1']);
  });

  test('Ctrl-C while the agent has not answered yet: it cannot be known whether it begins', async () => {
    const played = await play({ disks: [drive], answers: { [FORMAT]: [needsConfirmation(), silent] } }, [...TYPED]);
    const ended = createFormat(played.ports)(WISH);
    await vi.waitFor(() => expect(played.sent).toHaveLength(2), 20_000);
    played.interrupt();
    expect(await ended).toBe('not-known');
    expect(played.told.at(-1)).toMatch(/cannot be known from here/);
    expect(all(played)).not.toMatch(/^Nothing was erased/m);
  });

  test('an agent that is restarted while the job goes on is asked until it is back', async () => {
    const { outcome, played } = await format({
      [FORMAT]: [underWay],
      job: [says(formatJob()), cut, cut, cut, cut, refuses('job', 'internal', 'No.'), says(doneJob())],
    });
    expect(outcome).toBe('done');
    expect(all(played)).toMatch(/does not answer/);
  });

  test('a job that nobody knows: how it ended is not known', async () => {
    const { outcome, played } = await format({
      [FORMAT]: [underWay],
      job: [refuses('job', 'not-found', 'There is no such job.')],
    });
    expect(outcome).toBe('not-known');
    expect(played.out).toEqual(['felhom-controller disks job fmt-1']);
  });

  test.each([
    ['that there is not', 'sdx', /no drive "sdx"/],
    ['that is not plugged in', 'OLD1', /not plugged in/],
    ['that may be two', 'twin', /may be sdy .* and sdz/],
  ])('a drive %s is asked nothing of', async (_what, wanted, words) => {
    const disks = [
      disk({ name: 'sdc', serial: 'OLD1', state: 'unplugged' }),
      disk({ name: 'sdy', label: 'twin' }),
      disk({ name: 'sdz', label: 'twin' }),
    ];
    const { outcome, played } = await format({}, [], { drive: wanted }, disks);
    expect([outcome, played.sent]).toEqual(['refused', []]);
    expect(all(played)).toMatch(words);
  });
});

const CODES = Object.keys(ERROR_STATUS) as ErrorCode[];
/** Of these nobody can say whether it was done, or it goes on. */
const OPEN: readonly ErrorCode[] = ['internal', 'drive-not-answering'];

describe('T21, from our own client: no refusal is taken for success', () => {
  /** Of every code how it ended, one after the other over one connection. */
  const outcomes = async (line: keyof Script['answers'], act: (played: Played) => Promise<string>, claims: RegExp) => {
    const script: Script = { disks: [disk(), drive], answers: {} };
    const played = await play(script, []);
    const ended: Record<string, string> = {};
    for (const code of CODES) {
      const sentence = `A sentence about ${code}.`;
      script.answers[line] = [refuses(line, code, sentence, { dependentGuests: [102] })];
      played.out.length = 0;
      played.told.length = 0;
      ended[code] = await act(played);
      expect(all(played), code).toContain(sentence);
      expect(all(played), code).not.toMatch(claims);
    }
    expect(confirmations(played)).toEqual([]);
    return ended;
  };
  const expected = Object.fromEntries(CODES.map((code) => [code, OPEN.includes(code) ? 'not-known' : 'refused']));

  test('format', async () => {
    expect(await outcomes(FORMAT, ({ ports }) => createFormat(ports)(WISH), /is formatted/)).toEqual(expected);
  });

  test('assign', async () => {
    const act = ({ ports }: Played) => createAssign(ports)({ drive: 'sdb', name: 'photos', readOnly: false });
    expect(await outcomes('POST /disks/assign', act, /is connected at/)).toEqual(expected);
  });

  test('eject', async () => {
    expect(await outcomes('POST /disks/eject', ({ ports }) => createEject(ports)('photos'), /is ejected:/)).toEqual(expected);
  });
});

const text = (status: number, body: string): Scripted => ({ status, text: body });
const ok = (data: unknown): string => JSON.stringify({ ok: true, data, error: '', code: '' });

const AMBIGUOUS: [string, Scripted][] = [
  ['a connection that is cut', cut],
  ['an error of the agent', refuses(FORMAT, 'internal', 'Something went wrong.')],
  ['a page of a proxy', text(502, '<html>Bad gateway</html>')],
  ['nothing', text(200, '')],
  ['success without data', text(200, ok(null))],
  [
    'success in a 500',
    text(500, ok({ vmid: 101, device: 'sdc', formatted: true, data_bearing: false, reason: '', job_id: '', durable_id: '' })),
  ],
  [
    '"formatted" that is no boolean',
    text(200, ok({ vmid: 101, device: 'sdc', formatted: 'true', data_bearing: false, reason: '', job_id: 'j', durable_id: '' })),
  ],
  [
    'neither done nor under way',
    text(200, ok({ vmid: 101, device: 'sdc', formatted: false, data_bearing: true, reason: '', job_id: '', durable_id: '' })),
  ],
  ['a refusal without a code', text(409, JSON.stringify({ ok: false, data: { formatted: false }, error: 'x', code: '' }))],
];

describe('an answer that says nothing certain', () => {
  test.each(AMBIGUOUS)('%s: asked without confirming, it joins the job', async (_what, answer) => {
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(), answer, underWay], job: [says(doneJob())] }, [
      ...TYPED,
    ]);
    expect(outcome).toBe('done');
    expect(confirmations(played)).toHaveLength(1);
    expect(played.sent[2]).toEqual([FORMAT, { device: 'sdc', fstype: 'ext4', durable_id: FRESH }]);
    expect(played.told.join('\n')).toMatch(/cannot be known from here/);
  });

  test.each(AMBIGUOUS)('%s for good: it cannot be known', async (_what, answer) => {
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(), answer] }, [...TYPED]);
    expect(outcome).toBe('not-known');
    expect(confirmations(played)).toHaveLength(1);
    expect(all(played)).not.toMatch(/is formatted|Nothing was erased/);
  });

  test('the agent asks for a confirmation again: it may still be busy with the one that was lost', async () => {
    const begun = await format({ [FORMAT]: [needsConfirmation(), cut, needsConfirmation(), formatted] }, [...TYPED]);
    expect([begun.outcome, confirmations(begun.played).length]).toEqual(['done', 1]);
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(), cut, needsConfirmation()] }, [...TYPED]);
    expect([outcome, confirmations(played).length]).toEqual(['not-known', 1]);
    expect(played.told.at(-1)).toMatch(/cannot be known from here/);
    // It may have failed after it had erased what was there: then it is to be confirmed again too.
    expect(all(played)).not.toMatch(/so it has not begun|has not begun until/);
    expect(all(played)).toMatch(/did not come to its end/);
  });

  test('"it goes on: ask again" is asked again, and confirmed once', async () => {
    const goesOn = refuses(FORMAT, 'drive-not-answering', 'It goes on: ask again.');
    const { outcome, played } = await format({ [FORMAT]: [needsConfirmation(), goesOn, goesOn, formatted] }, [...TYPED]);
    expect(outcome).toBe('done');
    expect(confirmations(played)).toHaveLength(1);
  });

  test.each<[string, object]>([
    ['without an id', { needs_confirmation: true, device: 'sdc' }],
    ['with an id that is no word', { needs_confirmation: true, device: 'sdc', durable_id: 'x;reboot' }],
    ['"needs_confirmation" that is no boolean', { needs_confirmation: 'true', device: 'sdc', durable_id: FRESH }],
    ['that says that it formatted', { needs_confirmation: true, device: 'sdc', durable_id: FRESH, formatted: true }],
    ['an operation without its id', { device: 'sdc', pending_op: { ...pendingOp(), id: undefined } }],
  ])('a 403 %s has no way forward', async (_what, data) => {
    const body = JSON.stringify({ ok: false, data: { formatted: false, ...data }, error: 'Why.', code: 'needs-confirmation' });
    const { outcome, played } = await format({ [FORMAT]: [text(403, body), formatted] }, [...TYPED]);
    expect([outcome, played.sent.length]).toEqual(['refused', 1]);
  });
});

const COMMAND = `felhom-opsign -op storage_wipe -host ${HOST} -durable-id ${pendingOp().durable_id}`;
const GRANT = `${'a'.repeat(120)}.${'b'.repeat(400)}.${'c'.repeat(86)}`;
const operatorNeeded = (change: object = {}): Scripted => {
  const data = {
    vmid: 101,
    device: '/dev/sdd',
    formatted: false,
    data_bearing: true,
    reason: 'Why.',
    pending_op: pendingOp(change),
  };
  return text(403, JSON.stringify({ ok: false, data, error: 'It holds the backups of this server.', code: 'operator-needed' }));
};
const ops = (change: object = {}) => says({ vmid: 101, ops: [waitingOp(change)] });
const granted = says(formatJob({ device: 'sdd' }), 202);

describe('a drive that only the operator may have wiped', () => {
  const wipe = (answers: Script['answers'], typed?: (string | null)[], change: object = {}) =>
    format({ [FORMAT]: [operatorNeeded()], 'GET /ops': [ops()], ...answers }, typed, { drive: 'sdd', ...change }, [
      backupDrive(),
    ]);

  test('the command to sign stands on a line of its own, with whom to ask, what they need and how long it waits', async () => {
    const { outcome, played } = await wipe({}, ['']);
    expect(outcome).toBe('needs-operator');
    expect(played.out).toEqual([COMMAND, 'felhom-controller disks format sdd --fstype ext4 --grant-file <file>']);
    const told = played.told.join('\n');
    for (const words of [
      'It holds the backups of this server.',
      'your operator',
      'serial number',
      'until 2026-03-02 04:00 UTC',
      'ops prepare op-7h2k9m4x0abc',
    ])
      expect(told).toContain(words);
    expect(played.sent.map(([line]) => line)).toEqual([FORMAT, 'GET /ops']);
  });

  test('without a terminal it is shown, and nothing is asked', async () => {
    const { outcome, played } = await wipe({});
    expect([outcome, played.out[0], played.asked]).toEqual(['needs-operator', COMMAND, []]);
  });

  test('how long it waits is left open where it cannot be asked', async () => {
    const { played } = await wipe({ 'GET /ops': [cut] }, ['']);
    expect(played.told.join('\n')).toContain('for a day');
  });

  test.each<[string, (string | null)[] | undefined, object]>([
    ['pasted', [`  ${GRANT} `], {}],
    ['pasted after a slip', ['what?', GRANT.slice(0, 200), GRANT], {}],
    ['brought in a file', undefined, { grant: `${GRANT}\n` }],
  ])('the line, %s, is carried and its job followed', async (_what, typed, change) => {
    const { outcome, played } = await wipe({ grant: [granted], job: [says(doneJob({ device: 'sdd' }))] }, typed, change);
    expect(outcome).toBe('done');
    expect(played.sent.find(([line]) => line.includes('grant'))).toEqual(['POST /ops/op-7h2k9m4x0abc/grant', { grant: GRANT }]);
    expect(played.out).toContain('felhom-controller disks assign sdd --name data');
  });

  test.each<ErrorCode>(['grant-refused', 'op-not-prepared', 'drive-in-use', 'grants-off', 'op-not-found'])(
    'refused as %s: why, and it may be brought again',
    async (code) => {
      const grant = [refuses('grant', code, 'Why it was not accepted.')];
      const pasted = await wipe({ grant: [...grant] }, [GRANT, '']);
      expect(pasted.outcome).toBe('needs-operator');
      expect(all(pasted.played)).toContain('Why it was not accepted.');
      const brought = await wipe({ grant: [...grant] }, undefined, { grant: GRANT });
      expect(brought.outcome).toBe('needs-operator');
      expect(brought.played.sent.filter(([line]) => line.includes('grant'))).toHaveLength(1);
    },
  );

  test('a file that holds no such line is not carried', async () => {
    const { outcome, played } = await wipe({ grant: [granted] }, undefined, { grant: 'hello' });
    expect([outcome, played.sent.map(([line]) => line)]).toEqual(['needs-operator', [FORMAT]]);
  });

  test('an answer that was lost: the operation itself is asked, and the line is sent once', async () => {
    const states = [ops(), ops(), ops({ state: 'granted', job_id: 'fmt-1' })];
    const { outcome, played } = await wipe({ grant: [cut], 'GET /ops': states, job: [says(doneJob({ device: 'sdd' }))] }, [
      GRANT,
    ]);
    expect(outcome).toBe('done');
    expect(played.sent.filter(([line]) => line.includes('grant'))).toHaveLength(1);
  });

  test('and where it stays open, it cannot be known', async () => {
    const { outcome, played } = await wipe({ grant: [cut] }, [GRANT]);
    expect(outcome).toBe('not-known');
    expect(played.sent.filter(([line]) => line.includes('grant'))).toHaveLength(1);
    expect(all(played)).not.toMatch(/was accepted|is formatted/);
  });

  test.each([
    ['a semicolon in the host', { host_scope: 'pve1;reboot' }],
    ['a newline after the host', { host_scope: 'pve1\n' }],
    ['a backtick in the id', { durable_id: 'byid:backup.`id`.x.1.a' }],
    ['a quote in the id', { durable_id: "byid:backup.'x.1.a" }],
    ['a newline in the id', { durable_id: 'byid:backup.x.1.a\nreboot' }],
    ['an escape sequence in the id', { durable_id: 'byid:backup.\u001b[2J.x.1.a' }],
    ['an id that is too long', { durable_id: `byid:${'x'.repeat(300)}` }],
    ['an id of a file system', { durable_id: `uuid:${UUID}` }],
    ['another operation', { op: 'rm -rf' }],
    ['an id of the operation that is no word', { id: '../x' }],
  ])('T26: %s: no command is printed', async (_what, change) => {
    const { outcome, played } = await wipe({ [FORMAT]: [operatorNeeded(change)] }, [GRANT]);
    expect(outcome).toBe('refused');
    expect(all(played)).not.toContain('felhom-opsign -op');
    expect(played.sent.filter(([line]) => line.includes('grant'))).toEqual([]);
  });
});

describe('assign', () => {
  const line = 'POST /disks/assign';
  const connected = says({ vmid: 101, uuid: UUID, where: '/srv/drives/photos', guest_path: '/mnt/felhom/photos', note: '' });
  const assign = async (answers: Scripted[], change: object = {}, disks: Disk[] = [disk()], root = '/srv/drives') => {
    const list = says({ ...listing(...disks), mount_root: root });
    const played = await play({ disks, answers: { [line]: answers, 'GET /disks': [list] } });
    return { outcome: await createAssign(played.ports)({ drive: 'sdb', name: 'photos', readOnly: false, ...change }), played };
  };
  const sentBody = { uuid: UUID, where: '/srv/drives/photos', fstype: 'ext4', options: '' };

  test.each([
    ['its name', 'sdb'],
    ['its device', '/dev/sdb'],
    ['its durable id', `uuid:${UUID}`],
    ['its UUID', UUID.toUpperCase()],
    ['its serial number', 's46xnx0m7k1d'],
    ['its label', 'Photos'],
  ])('a drive called by %s is connected where the host mounts drives', async (_what, wanted) => {
    const { outcome, played } = await assign([connected], { drive: wanted });
    expect(outcome).toBe('done');
    expect(played.sent).toEqual([[line, sentBody]]);
    expect(played.out).toEqual([
      'sdb (Portable SSD T5, 500.1 GB) is connected at /mnt/felhom/photos.',
      'felhom-controller disks eject photos',
    ]);
  });

  test('read only', async () => {
    const { played } = await assign([connected], { readOnly: true });
    expect(played.sent).toEqual([[line, { ...sentBody, options: 'ro' }]]);
    expect(played.out[0]).toMatch(/to be read only/);
  });

  test('where it does not show in the guest yet, what is missing is said', async () => {
    const note = 'Restart the container once.';
    const { played } = await assign([says({ vmid: 101, uuid: UUID, where: '/srv/drives/photos', guest_path: '', note })]);
    expect(played.out[0]).toContain('connected on the server (/srv/drives/photos)');
    expect(played.told).toContain(note);
  });

  test('a name that cannot be one is refused before anything is asked', async () => {
    for (const name of ['Photos', '../etc', 'a b', '', '-x', 'a'.repeat(33)])
      expect(await assign([connected], { name }), name).toMatchObject({ outcome: 'refused', played: { sent: [] } });
  });

  test('several file systems: which, by their names; one of them by its own', async () => {
    const whole = emptyLooking({ name: 'sdb' });
    const parts = [
      disk({ name: 'sdb1', type: 'part', label: 'one' }),
      disk({ name: 'sdb2', type: 'part', label: 'two', durable_id: 'uuid:aaaa-bbbb' }),
    ];
    const asked = await assign([connected], {}, [whole, ...parts, disk({ name: 'sdc', serial: 'X' })]);
    expect([asked.outcome, asked.played.sent]).toEqual(['refused', []]);
    expect(asked.played.out.map((one) => one.trim().split(' ')[0])).toEqual(['sdb1', 'sdb2']);
    const chosen = await assign([connected], { drive: 'sdb2' }, [whole, ...parts]);
    expect(chosen.played.sent).toMatchObject([[line, { uuid: 'aaaa-bbbb' }]]);
  });

  test('one that has to be formatted first: why, and the command', async () => {
    const { outcome, played } = await assign([connected], { drive: 'sdc' }, [drive]);
    expect([outcome, played.sent]).toEqual(['refused', []]);
    expect(all(played)).toContain('felhom-controller disks format sdc --fstype ext4');
  });

  test('an answer that was lost: asked again, it tells that it is connected', async () => {
    const { outcome, played } = await assign([cut, connected]);
    expect([outcome, played.sent.length]).toEqual(['done', 2]);
  });

  test.each<[string, Scripted]>([
    ['cut', cut],
    ['a success of another shape', says({ vmid: 101 })],
    ['a success with another status', text(503, ok({ vmid: 101, uuid: UUID, where: 'x', guest_path: '', note: '' }))],
  ])('%s for good: it cannot be known', async (_what, answer) => {
    const { outcome, played } = await assign([answer]);
    expect(outcome).toBe('not-known');
    expect(played.out).toEqual(['felhom-controller disks assign sdb --name photos']);
  });
});

describe('eject', () => {
  const line = 'POST /disks/eject';
  const ejected = says({ vmid: 101, ejected: true, dependent_guests: [] });
  const connected = disk({ state: 'mounted', mount_path: '/srv/drives/photos', guest_path: '/mnt/felhom/photos' });
  const eject = async (answers: Scripted[], wanted = 'photos', disks: Disk[] = [connected]) => {
    const list = says({ ...listing(...disks), mount_root: '/srv/drives' });
    const played = await play({ disks, answers: { [line]: answers, 'GET /disks': [list] } });
    return { outcome: await createEject(played.ports)(wanted), played };
  };

  test.each(['photos', '/mnt/felhom/photos', '/srv/drives/photos', 'sdb', '/dev/sdb', 'S46XNX0M7K1D', `uuid:${UUID}`])(
    'by %s: it says when it may be pulled out',
    async (wanted) => {
      const { outcome, played } = await eject([ejected], wanted);
      expect(outcome).toBe('done');
      expect(played.sent).toEqual([[line, { where: '/srv/drives/photos' }]]);
      expect(played.out[0]).toContain('You may pull it out now.');
    },
  );

  test('a name that is not listed is asked for all the same: an unplugged drive shows no place', async () => {
    const { played } = await eject([ejected], 'films', []);
    expect(played.sent).toEqual([[line, { where: '/srv/drives/films' }]]);
  });

  test('whoever depends on it is named', async () => {
    const why = refuses(line, 'drive-in-use', 'It is still used by process 4711 (cp).', { dependentGuests: [102, 103] });
    const { outcome, played } = await eject([why]);
    expect(outcome).toBe('refused');
    expect(all(played)).toMatch(/process 4711 \(cp\)[\s\S]*102, 103/);
  });

  test('a drive that is not connected', async () => {
    const { outcome, played } = await eject([ejected], '/dev/sdb', [disk()]);
    expect([outcome, played.sent]).toEqual(['refused', []]);
  });

  test.each<[string, Scripted[]]>([
    ['an answer that is lost for good', [cut]],
    ['a success that does not say "ejected"', [says({ vmid: 101, ejected: false, dependent_guests: [] })]],
    ['lost, and then nothing is connected there any more', [cut, refuses(line, 'not-assigned', 'Nothing is connected there.')]],
  ])('%s: nobody is told to pull it out', async (_what, answers) => {
    const { outcome, played } = await eject(answers);
    expect(outcome).toBe('not-known');
    expect(all(played)).toContain('Do not pull it out.');
    expect(all(played)).not.toContain('You may');
  });

  test('lost, and asked again it is ejected', async () => {
    const { outcome } = await eject([cut, ejected]);
    expect(outcome).toBe('done');
  });
});
