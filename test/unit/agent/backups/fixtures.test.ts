/** Every recorded log: an agent that is killed at any of its lines knows the truth within five seconds of its return. */
import { describe, expect, test } from 'vitest';
import { labelOf } from '#agent/backups/label';
import { readLog } from '#agent/backups/log';
import type { Label } from '#shared/label';
import { setup, volume } from './harness.ts';
import { LOG_NAMES, logLines } from './logs.ts';

const WITHIN_MS = 5000;

const exitstatusOf = (last: string): string => {
  const [, word, rest] = /^TASK (OK|WARNINGS|ERROR)(?:: (.*))?$/.exec(last) ?? [];
  if (word === undefined) return 'unexpected status';
  return word === 'ERROR' ? (rest ?? '') : word === 'OK' ? 'OK' : `WARNINGS: ${rest}`;
};

/** A job whose log reads so far when the agent is killed; what the next one says of it. */
const killedAt = async (lines: string[], index: number, exitstatus?: string) => {
  const all = setup();
  const first = await all.startAgent();
  const { job_id } = await first.start(101);
  await all.advance(200);
  all.node.write(...lines.slice(0, index));
  await all.settle();
  first.kill();
  const { archive } = readLog(lines);
  if (exitstatus !== undefined) {
    all.node.write(...lines.slice(index));
    all.node.end(exitstatus, false);
    if (archive !== '') all.node.volumes.push(volume({ volid: `bak:backup/${archive}` }));
  }
  const next = await all.startAgent();
  await all.advance(WITHIN_MS);
  const status = await next.peek();
  expect(status.job_id).toBe(job_id);
  expect(all.node.posts).toBe(1);
  expect(all.rows()).toHaveLength(1);
  return status;
};

describe.each(LOG_NAMES)('%s', (name) => {
  const lines = logLines(name);
  const full = readLog(lines);
  const exitstatus = exitstatusOf(lines.at(-1) ?? '');
  const isGood = exitstatus === 'OK' || exitstatus.startsWith('WARNINGS');

  test('killed at each line, and the task runs on: running, with what the log has proved so far', async () => {
    for (let index = 0; index < lines.length; index += 1) {
      const status = await killedAt(lines, index);
      const known = readLog(lines.slice(0, index));
      expect(status, `line ${index}`).toMatchObject({ phase: 'running', label: null, mode: known.mode });
      expect(status.consistency_point_at !== null, `line ${index}`).toBe(known.pointLine !== null);
    }
  });

  test('killed at each line, and the task has ended: its verdict', async () => {
    for (let index = 0; index <= lines.length; index += 1) {
      const status = await killedAt(lines, index, exitstatus);
      const expected = isGood ? { phase: 'done', label: labelOf(full), error: '' } : { phase: 'failed', label: null };
      expect(status, `line ${index}`).toMatchObject(expected);
      expect(status.error === '', `line ${index}`).toBe(isGood);
    }
  });

  test('cut short at each line, with one line more or another that nobody knows: the label is never better than the truth', () => {
    const allowed = new Set<Label>(['crash', labelOf(full)]);
    for (let cut = 0; cut <= lines.length; cut += 1) {
      const head = lines.slice(0, cut);
      for (let at = 0; at <= cut; at += 1)
        for (const replaced of [0, 1])
          for (const said of ['INFO: entirely new wording', 'no prefix at all', 'WARN: something is odd', '']) {
            const read = readLog(head.toSpliced(at, replaced, said));
            expect(allowed.has(labelOf(read)), `cut ${cut}, line ${at}, "${said}"`).toBe(true);
            const shift = 1 - replaced;
            const early =
              read.pointLine !== null && read.pointLine < (full.pointLine ?? 1e9) + (at <= (full.pointLine ?? -1) ? shift : 0);
            expect(early, `cut ${cut}, line ${at}, "${said}": a point before the real one`).toBe(false);
          }
    }
  });
});
