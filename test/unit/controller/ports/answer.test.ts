/** Answers of agents of another version than the controller's. */
import { expect, test } from 'vitest';
import { readAnswer } from '#controller/ports/answer';
import { type BackupDue, getBackupDue, getBackupStatus } from '#shared/wire/backups';
import { idleStatus, offer } from '../fake-agent.ts';

/** As the agent before said it. */
const without = (data: object, ...keys: string[]): object =>
  Object.fromEntries(Object.entries(data).filter(([key]) => !keys.includes(key)));

test('the offer and the status of an agent that knows nothing of held applications are read', () => {
  const due = readAnswer(
    getBackupDue,
    200,
    JSON.stringify({ ok: true, data: without(offer, 'one_instant'), error: '', code: '' }),
  );
  expect((due as BackupDue).due).toBe(true);
  const status = without(idleStatus, 'one_instant', 'intends', 'apps');
  expect(readAnswer(getBackupStatus, 200, JSON.stringify({ ok: true, data: status, error: '', code: '' }))).toEqual(status);
});

test('what an agent says is checked all the same', () => {
  const text = JSON.stringify({ ok: true, data: { ...offer, one_instant: 'yes' }, error: '', code: '' });
  expect(() => readAnswer(getBackupDue, 200, text)).toThrow('not its protocol');
});
