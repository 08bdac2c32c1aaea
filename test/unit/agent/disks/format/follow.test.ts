/** How a format has ended, from what its program wrote down. */
import { expect, test } from 'vitest';
import { judge } from '#agent/disks/format/follow';
import type { FormatState, Phase } from '#agent/drive-format/protocol';

const seen = (phase: Phase, alive: boolean, outcome: FormatState['outcome'] = null) => ({
  alive,
  state: { jobId: 'fmt-1', pid: 1, startTime: '1', bootId: 'b', phase, outcome },
});
const failure = { ok: false, code: 'io', why: '/dev/sdb: secret' } as const;

test.each(['holding', 'wiping', 'partitioning', 'making', 'checking'] as const)('%s: it goes on', (phase) => {
  expect(judge({ phase: '' }, seen(phase, true))).toEqual({ phase });
});

test.each(['wiping', 'partitioning', 'making', 'checking'] as const)('%s and gone: interrupted, for good', (phase) => {
  expect(judge({ phase: '' }, seen(phase, false))).toMatchObject({
    ...{ state: 'interrupted', phase, uuid: '' },
    error: expect.stringMatching(/Nothing goes on by itself.*Format it again/),
  });
});

test.each([
  ['it was never started', null],
  ['it had not begun', seen('holding', false)],
] as const)('%s: nothing was erased', (_what, state) => {
  expect(judge({ phase: 'holding' }, state)).toMatchObject({
    state: 'failed',
    error: expect.stringMatching(/Nothing was erased/),
  });
});

test.each(['wiping', 'making'])(
  'what it wrote down is gone, and it was seen in "%s": nobody says that nothing was erased',
  (phase) => {
    const end = judge({ phase }, null);
    expect(end).toMatchObject({ state: 'interrupted', phase });
    expect(JSON.stringify(end)).not.toMatch(/Nothing was erased/);
  },
);

test('it never began, which could not be put on record at first: still nothing was erased', () => {
  expect(judge({ phase: 'ended' }, null)).toMatchObject({ state: 'failed', error: expect.stringMatching(/Nothing was erased/) });
});

test('done', () => {
  const made = { ok: true, uuid: 'u-1', partition: '/dev/sdb1' } as const;
  expect(judge({ phase: 'making' }, seen('ended', false, made))).toEqual({
    state: 'done',
    phase: 'ended',
    uuid: 'u-1',
    error: '',
  });
});

test.each(['', 'holding', 'making'])('it failed, and was last seen in "%s": something is erased', (phase) => {
  const end = judge({ phase }, seen('ended', false, failure));
  expect(end).toMatchObject({ state: 'failed', phase: phase === 'making' ? 'making' : 'wiping' });
  expect(end).toMatchObject({ error: expect.stringMatching(/^The drive could not be written.* is erased/) });
  expect(JSON.stringify(end)).not.toMatch(/secret/);
});
