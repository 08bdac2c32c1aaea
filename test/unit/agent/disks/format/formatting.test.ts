/** From a permission to the first byte: whatever fails on the way leaves the drive as it was, and says so. */
import { expect, test } from 'vitest';
import type { Permission, Wish } from '#agent/disks/format/format';
import { createFormatting, type FormattingPorts } from '#agent/disks/format/formatting';
import { loadJobs } from '#agent/disks/format/jobs';
import type { Holder, Inventory } from '#agent/disks/inventory/drive';
import { DriveFormatError, type FormatState } from '#agent/ports/drive-format';
import type { Statement } from '#agent/ports/store';
import { createTurn } from '#agent/turn';
import type { FelhomError } from '#shared/errors';
import { fakeClock, settle } from '../../fake-clock.ts';
import { madeDrive, madeInventory, madeRecord } from '../made.ts';

const DRIVE = madeDrive({ record: madeRecord() });
const WISH: Wish = {
  ...{ vmid: 101, fstype: 'ext4', askedId: '' },
  find: ({ drives: [drive = DRIVE] }) => drive,
};
const PERMISSION: Permission = {
  ...{ by: 'confirmed', boundId: 'byid:x', opId: '', owner: { vmid: 101, instance: 'a', since: 1 } },
  statements: (jobId) => [{ sql: 'used', values: [jobId] }],
  beforeWriting: async () => undefined,
};

const setup = async (over: Partial<FormattingPorts> & { go?: () => Promise<void> } = {}) => {
  const { clock, advance } = fakeClock();
  const did: string[] = [];
  const devices: string[] = [];
  const written: Statement[][] = [];
  const states = new Map<string, FormatState>();
  const store = {
    all: async () => [],
    write: async (...statements: Statement[]) => {
      written.push(statements);
      did.push('write');
      return [];
    },
  };
  const jobs = await loadJobs({ store, clock });
  did.length = 0;
  const formatting = createFormatting({
    ...{ clock, store, jobs, bootId: 'b', inTurn: createTurn(), journal: () => undefined, writesOff: () => '' },
    current: { fresh: async () => madeInventory({ drives: [DRIVE] }), changed: () => undefined },
    inUse: { holders: async () => [] },
    mappedRoot: async () => ({ uid: 0, gid: 0 }),
    driveFormat: {
      hold: async ({ device }) => {
        did.push('hold');
        devices.push(device);
        return {
          pid: 7,
          go: async () => {
            did.push('go');
            await over.go?.();
          },
          letGo: async () => void did.push('let go'),
        };
      },
      state: async (jobId) => {
        const state = states.get(jobId);
        return state === undefined ? null : { state, alive: true };
      },
    },
    ...over,
  });
  return { formatting, jobs, did, devices, written, states, advance };
};

const refusal = (deed: Promise<unknown>): Promise<FelhomError> =>
  deed.then(
    () => expect.fail('it was not refused'),
    (error: FelhomError) => error,
  );

test('what permits it is used up in one write with the job, before the program is let go', async () => {
  const { formatting, did, written } = await setup();
  const job = await formatting.begin(WISH, async () => {
    did.push('permit');
    return { ...PERMISSION, beforeWriting: async () => void did.push('before writing') };
  });
  expect(did).toEqual(['hold', 'permit', 'write', 'before writing', 'go']);
  expect(written.at(-1)?.map(({ sql }) => sql.split(' ').slice(0, 3).join(' '))).toEqual([
    'INSERT INTO formats',
    'INSERT INTO audit',
    'used',
  ]);
  expect(job).toMatchObject({ state: 'running', vmid: 101, device: 'sdb', permittedBy: 'confirmed', boundId: 'byid:x' });
});

test.each<[string, () => Promise<Permission>]>([
  ['it is not permitted', () => Promise.reject(new Error('no'))],
  [
    'what is to be done before fails',
    async () => ({ ...PERMISSION, beforeWriting: () => Promise.reject(new Error('disk full')) }),
  ],
])('%s: the drive is let go, and nothing was written to it', async (_what, permit) => {
  const { formatting, did, jobs } = await setup();
  expect(await refusal(formatting.begin(WISH, permit))).toMatchObject({ code: 'format-failed' });
  expect(did).not.toContain('go');
  expect(did.at(-1)).toBe('let go');
  expect(jobs.all().every(({ state, error }) => state === 'failed' && /Nothing was erased/.test(error))).toBe(true);
  expect(jobs.marks()).toEqual([]);
});

test.each<[string, (look: number) => Partial<Inventory>, string, string]>([
  ['a source no longer answers', (look) => (look > 1 ? { missing: [{ source: 'LVM', why: 'It hangs.' }] } : {}), '', 'not-known'],
  [
    'it is another one',
    (look) => ({ drives: [look > 1 ? { ...DRIVE, record: madeRecord({ id: 2 }) } : DRIVE] }),
    '',
    'drive-not-found',
  ],
  ['drives are not changed any more', () => ({}), 'The agent cannot see the swap space.', 'drive-writes-off'],
])('under the lock %s: it is not even asked what permits it', async (_what, seen, off, code) => {
  let looks = 0;
  const { formatting, did } = await setup({
    current: {
      fresh: async () => {
        looks += 1;
        return madeInventory({ drives: [DRIVE], ...seen(looks) });
      },
      changed: () => undefined,
    },
    writesOff: () => (looks > 0 ? off : ''),
  });
  expect((await refusal(formatting.begin(WISH, () => expect.fail('it was asked')))).code).toBe(code);
  expect(did).toEqual(['hold', 'let go']);
});

test('a drive whose name has a slash in it is held by its own device file', async () => {
  const { formatting, devices } = await setup();
  const drive = { ...DRIVE, name: 'cciss!c0d0' };
  await formatting.begin({ ...WISH, find: () => drive }, async () => PERMISSION);
  expect(devices).toEqual(['/dev/cciss/c0d0']);
});

test('the program does not begin: the permission is used up, the job says that nothing was erased', async () => {
  const go = () => Promise.reject(new DriveFormatError('/dev/sdb', 'changed', 'gone'));
  const { formatting, jobs, did } = await setup({ go });
  expect(await refusal(formatting.begin(WISH, async () => PERMISSION))).toMatchObject({ code: 'drive-not-found' });
  expect(jobs.all()).toMatchObject([{ state: 'failed', error: expect.stringMatching(/Nothing was erased/) }]);
  expect(did.at(-1)).toBe('let go');
});

test('whether it began is not certain: it is followed, and never ended by force', async () => {
  const go = () => Promise.reject(new Error('EIO'));
  const { formatting, jobs, did, states } = await setup({ go });
  const asked = formatting.begin(WISH, async () => {
    await Promise.resolve();
    return {
      ...PERMISSION,
      statements: (jobId) => {
        states.set(jobId, { jobId, pid: 1, startTime: '', bootId: 'b', phase: 'wiping', outcome: null });
        return [];
      },
    };
  });
  expect(await asked).toMatchObject({ state: 'running' });
  expect([jobs.running().length, did.includes('let go')]).toEqual([1, false]);
});

test('whoever only looks at it is waited for; whoever uses it is named in words that a guest may read', async () => {
  const holder = (kind: Holder['kind']): Holder => ({ kind, sentence: 'It is mounted at /srv/secret.', vmid: null, pid: 3 });
  const looking: Holder[][] = [[holder('process')], [holder('exclusive')], [], []];
  const waiting = await setup({ inUse: { holders: async () => looking.shift() ?? [] } });
  const begun = waiting.formatting.begin(WISH, async () => PERMISSION);
  await waiting.advance(2_000);
  expect(await begun).toMatchObject({ state: 'running' });

  const { formatting, did } = await setup({ inUse: { holders: async () => [holder('mount')] } });
  const { code, message } = await refusal(formatting.begin(WISH, async () => PERMISSION));
  expect([code, message.includes('secret'), did]).toEqual(['drive-in-use', false, []]);
});

test('an agent that ends lets go of what it has locked, and does not wait for what is being erased', async () => {
  const { formatting, did } = await setup();
  const never = formatting.begin(WISH, () => new Promise(() => undefined));
  never.catch(() => undefined);
  await settle();
  await formatting.close();
  expect(did).toEqual(['hold', 'let go']);
});

test('drives are formatted in turn, until each has begun', async () => {
  const { formatting, did } = await setup();
  await Promise.all([formatting.begin(WISH, async () => PERMISSION), formatting.begin(WISH, async () => PERMISSION)]);
  expect(did).toEqual(['hold', 'write', 'go', 'hold', 'write', 'go']);
});
