/** A request that takes longer than a call: it goes on, and whoever asks the same again hears how it went. */
import { expect, test } from 'vitest';
import { createAsk } from '#agent/disks/format/ask';
import type { FormatJob, Formatting } from '#agent/disks/format/format';
import type { FelhomError } from '#shared/errors';
import { formatDisk } from '#shared/wire/disks';
import { fakeClock, settle } from '../../fake-clock.ts';
import { madeDrive, madeFilesystem, madeInventory, madeRecord } from '../made.ts';

const DRIVE = madeDrive({
  record: madeRecord({ keys: ['taken:u-1'] }),
  ...{ dataBearing: false, filesystems: [madeFilesystem({ uuid: 'u-1' })] },
});
const { model, serial, sizeBytes } = DRIVE.identity;

const JOB: FormatJob = {
  ...{ jobId: 'fmt-1', vmid: 101, drive: 1, device: 'sdb', model, serial, sizeBytes, fstype: 'ext4', permittedBy: 'blank' },
  ...{
    askedId: '',
    boundId: '',
    opId: '',
    state: 'running',
    phase: 'making',
    uuid: '',
    error: '',
    startedAt: 1,
    finishedAt: null,
  },
};

const setup = () => {
  const { clock, advance } = fakeClock();
  const state = { jobs: [] as FormatJob[], begun: 0, begin: () => Promise.resolve(), end: () => {} };
  const formatting: Pick<Formatting, 'begin' | 'wait' | 'jobs'> = {
    jobs: () => state.jobs,
    begin: async () => {
      state.begun += 1;
      await state.begin();
      state.jobs = [JOB];
      return JOB;
    },
    wait: (_jobId, ms) =>
      new Promise((resolve) => {
        const done = () => resolve(state.jobs[0] ?? JOB);
        clock.after(Math.max(0, ms), done);
        state.end = done;
      }),
  };
  const ask = createAsk({
    ...{ clock, formatting, hostScope: 'host', writesOff: () => '' },
    current: {
      fresh: async () => madeInventory({ drives: [DRIVE] }),
      inventory: async () => ({ inventory: madeInventory({ drives: [DRIVE] }), ageMs: 0 }),
    },
    records: { assignments: () => [] },
    settings: () => ({ filesystems: ['ext4'] }),
    claims: () => ({ guests: [101], enrolled: [101], instances: new Map([[101, 'a']]) }),
    confirmations: { ask: async () => 'byid:x', holds: async () => false, use: () => ({ sql: '' }) },
    driveFormat: { missing: async () => '', minBytes: () => 1 },
    openOp: async () => expect.fail('it is no system drive'),
  });
  return { ask: () => ask(101, { device: 'sdb', fstype: 'ext4' }), state, advance, clock };
};

test('T40: what is not done after ten seconds is answered with 202, and joined', async () => {
  const { ask, state, advance, clock } = setup();
  const startedAt = clock.monotonic();
  let at = 0;
  const first = ask().finally(() => {
    at = clock.monotonic();
  });
  await advance(10_000);
  const answer = await first;
  expect(at - startedAt).toBeLessThan(10_000);
  expect(answer).toMatchObject({ formatted: false, data_bearing: false, job_id: 'fmt-1', durable_id: '' });
  expect(formatDisk.isUnderWay?.(answer)).toBe(true);
  const second = ask();
  await settle();
  state.jobs = [{ ...JOB, state: 'done', uuid: 'u-1', finishedAt: 5 }];
  state.end();
  expect(await second).toMatchObject({ formatted: true, durable_id: 'uuid:u-1', job_id: 'fmt-1' });
  expect(state.begun).toBe(1);
});

test('T40: deciding that takes longer goes on, and the same request hears how it went', async () => {
  const { ask, state, advance } = setup();
  let go = () => {};
  state.begin = () =>
    new Promise((resolve) => {
      go = resolve;
    });
  const first = ask().catch((error: FelhomError) => error);
  await advance(9_500);
  expect(await first).toMatchObject({ code: 'drive-not-answering', message: expect.stringMatching(/goes on: ask again/) });
  const second = ask();
  await settle();
  go();
  await advance(9_500);
  expect(await second).toMatchObject({ formatted: false, job_id: 'fmt-1' });
  expect(state.begun).toBe(1);
});

test.each([
  [0, 0],
  [86_400_000, 0],
  [86_400_001, 1],
])('T40: what was made %i ms ago is made %i times more', async (ago, times) => {
  const { ask, state, advance, clock } = setup();
  state.jobs = [{ ...JOB, state: 'done', uuid: 'U-1', finishedAt: clock.now() - ago }];
  const asked = ask();
  await advance(10_000);
  expect(await asked).toMatchObject({ formatted: times === 0 });
  expect(state.begun).toBe(times);
});
