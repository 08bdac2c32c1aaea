/** The label for every combination of what a log can prove. */
import { expect, test } from 'vitest';
import { labelOf } from '#agent/backups/label';
import type { Label } from '#shared/label';

const GUESTS = ['lxc', 'qemu', null] as const;
const MODES = ['snapshot', 'suspend', 'stop', null] as const;
const RUNNING = [true, false, null] as const;
const FREEZES = ['none', 'begun', 'held', 'failed'] as const;

const combinations = GUESTS.flatMap((guest) =>
  MODES.flatMap((mode) => RUNNING.flatMap((running) => FREEZES.map((freeze) => ({ guest, mode, running, freeze })))),
);

/** Written apart from the code's table: what has to be known for anything better than `crash`. */
const expected = ({ guest, mode, running, freeze }: (typeof combinations)[number]): Label => {
  if (guest === null || mode === null || running === null) return 'crash';
  if (mode === 'stop') return 'stopped';
  return mode === 'snapshot' && running && freeze === 'held' ? 'filesystem' : 'crash';
};

test.each(combinations)('$guest $mode running=$running freeze=$freeze', (facts) => {
  expect(labelOf({ ...facts, pointLine: 12 })).toBe(expected(facts));
  expect(labelOf({ ...facts, pointLine: null })).toBe('crash');
});
