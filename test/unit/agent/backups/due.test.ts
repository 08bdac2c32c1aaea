/** When a backup is due, and what people are told of it. */
import { expect, test } from 'vitest';
import { type DueFacts, decideDue, span } from '#agent/backups/due';

const HOUR = 3600_000;
const NOW = Date.UTC(2026, 10, 21, 12);
const FACTS: DueFacts = {
  now: NOW,
  maxAgeMs: 36 * HOUR,
  minIntervalMs: HOUR,
  lastGoodAt: NOW - 10 * HOUR,
  lastStartAt: NOW - 10 * HOUR,
  runs: null,
};

test.each<[string, Partial<DueFacts>, boolean, string]>([
  ['never backed up', { lastGoodAt: null, lastStartAt: null }, true, 'No backup yet.'],
  ['fresh', {}, false, 'The last good backup is 10 hours old.'],
  ['just below max_age', { lastGoodAt: NOW - 36 * HOUR + 1 }, false, 'The last good backup is 35 hours old.'],
  ['at max_age', { lastGoodAt: NOW - 36 * HOUR }, true, 'The last good backup is 36 hours old.'],
  ['too old', { lastGoodAt: NOW - 37 * HOUR }, true, 'The last good backup is 37 hours old.'],
  ['it runs', { lastGoodAt: null, runs: 'here' }, false, 'A backup of this guest is running.'],
  ["another guest's runs", { lastGoodAt: null, runs: 'elsewhere' }, false, "Another guest's backup is running on this host."],
  [
    'failed a quarter of an hour ago',
    { lastGoodAt: null, lastStartAt: NOW - HOUR / 4 },
    false,
    'A backup was started 15 minutes ago; the next may start in 45 minutes.',
  ],
  ['failed an hour ago', { lastGoodAt: null, lastStartAt: NOW - HOUR }, true, 'No backup yet.'],
  // The clock was wrong when these were written.
  [
    'success in the future',
    { lastGoodAt: NOW + 24 * HOUR },
    true,
    "The last good backup's time lies in the future, so its age is not known.",
  ],
  ['start in the future', { lastGoodAt: null, lastStartAt: NOW + 10 * 365 * 24 * HOUR }, true, 'No backup yet.'],
  [
    'a start a little ahead',
    { lastGoodAt: null, lastStartAt: NOW + 60_000 },
    false,
    expect.stringContaining('may start in 60 minutes'),
  ],
  ['a success a little ahead', { lastGoodAt: NOW + 60_000 }, false, 'The last good backup is less than a minute old.'],
])('%s', (_what, facts, due, reason) => {
  expect(decideDue({ ...FACTS, ...facts })).toEqual({ due, reason });
});

test.each([
  [0, 'less than a minute'],
  [60_000, '1 minute'],
  [119 * 60_000, '119 minutes'],
  [2 * HOUR, '2 hours'],
  [71 * HOUR, '71 hours'],
  [72 * HOUR, '3 days'],
])('%d ms in words', (ms, words) => expect(span(ms)).toBe(words));
