/** What is kept of formats, over a real database: which one of a drive counts, whatever the clock says, and how many are kept. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { KeptJob } from '#agent/disks/format/job-rows';
import { type JobEnd, type Jobs, loadJobs } from '#agent/disks/format/jobs';
import { openStore, type Store } from '#agent/ports/store';
import { fakeClock } from '../../fake-clock.ts';

const DAY_MS = 86_400_000;

let dir: string;
let store: Store;
let time: ReturnType<typeof fakeClock>;
let jobs: Jobs;

const reopen = async (): Promise<void> => {
  jobs = await loadJobs({ store, clock: time.clock });
};

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'felhom-jobs-'));
  store = await openStore(join(dir, 'felhom.db'));
  time = fakeClock();
  await reopen();
});
afterEach(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});

const DONE: JobEnd = { state: 'done', phase: 'ended', uuid: 'u', error: '' };
const INTERRUPTED: JobEnd = { state: 'interrupted', phase: 'wiping', uuid: '', error: 'It was.' };

const format = async (jobId: string, end: JobEnd, facts: Partial<KeptJob> = {}): Promise<void> => {
  const job: KeptJob = {
    ...{ jobId, vmid: 101, drive: 1, device: 'sdb', model: 'Blank', serial: '', sizeBytes: 1, fstype: 'ext4' },
    ...{ permittedBy: 'blank', askedId: '', boundId: '', opId: '', state: 'running', phase: 'holding', uuid: '', error: '' },
    ...{ startedAt: time.clock.now(), finishedAt: null, bootId: 'b', owner: { vmid: 101, instance: 'a', since: 1 } },
    before: { role: 'user-data', diskseq: 1, identity: { model: 'Blank', serial: '', sizeBytes: 1, busPath: 'p' }, keys: [] },
    ...facts,
  };
  await jobs.begin(job, []);
  await jobs.end(jobId, end, (statement) => store.write(statement));
};

test.each([
  ['by an hour', 3_600_000],
  ['to years ago, as after a power cut without a battery', 2_000 * DAY_MS],
])('T32: a format that made good what was interrupted stays the newest when the clock was set back %s', async (_what, ms) => {
  const now = time.clock.now();
  await format('first', INTERRUPTED, { startedAt: now });
  expect(jobs.marks()).toHaveLength(1);
  await format('second', DONE, { startedAt: now - ms });
  expect(jobs.marks()).toEqual([]);
  await reopen();
  expect([jobs.marks(), jobs.interrupted()]).toEqual([[], []]);
  // Its drive may be forgotten to have been formatted only together with what went before.
  await reopen();
  expect([jobs.marks(), jobs.all().map(({ jobId }) => jobId)]).toEqual([[], ['second', 'first']]);
});

test('T32: what is long ago is forgotten', async () => {
  const long = time.clock.now() - 401 * DAY_MS;
  await format('first', INTERRUPTED, { startedAt: long });
  await format('second', DONE, { startedAt: long });
  await format('third', DONE, { drive: 2 });
  await reopen();
  expect(jobs.all().map(({ jobId }) => jobId)).toEqual(['third']);
});

test('T40: a guest that formats again and again makes nobody forget what was done for another', async () => {
  await format('another', DONE, { vmid: 102, drive: 7 });
  await format('bad', INTERRUPTED, { vmid: 102, drive: 8 });
  await format('good', DONE, { drive: 8 });
  for (let each = 0; each < 520; each += 1) await format(`own-${each}`, DONE, { drive: 10 + each });
  const kept = jobs.all().map(({ jobId }) => jobId);
  expect(kept.length).toBeLessThan(510);
  expect(kept).toContain('another');
  expect(jobs.interrupted()).toEqual([]);
});
