/** When it is a problem that applications were not consistent, and how the customer reads it. */
import { expect, test } from 'vitest';
import { appProblem } from '#agent/backups/app-problem';
import { type Job, newJob } from '#agent/backups/jobs';
import type { HeldApp } from '#shared/wire/backups';

const said = (app: string, held = true, covered = true): HeldApp => ({ app, held, held_ms: 0, covered });

const done = (facts: Partial<Job>): Job => ({
  ...newJob({
    ...{ jobId: 'j1', vmid: 101, source: 'schedule', requestId: null, storage: 'bak', createdAt: 0, configDigest: '' },
    intends: ['db', 'web'],
  }),
  ...{ state: 'done', mode: 'snapshot', label: 'filesystem', consistencyPointAt: 1, ...facts },
});

test.each<[Partial<Job>, string]>([
  [{}, 'db was not reported, web was not reported, job j1'],
  [{ heldApps: [said('db')] }, 'web was not reported, job j1'],
  [{ heldApps: [said('db', false), said('web')] }, 'db was not held, job j1'],
  [{ heldApps: [said('db', true, false), said('web')] }, 'db was not in the backup, job j1'],
  [{ heldApps: [said('db', false, false), said('web')] }, 'db was not held and not in the backup, job j1'],
  [{ mode: 'suspend', label: 'crash', heldApps: [said('db'), said('web')] }, 'the backup ran in mode suspend, job j1'],
  [{ consistencyPointAt: null, label: 'crash' }, "Proxmox's log does not say when the data was fixed, job j1"],
  [
    { intends: ['a', 'b', 'c', 'd', 'e', 'f', 'g'] },
    'a was not reported, b was not reported, c was not reported, d was not reported, e was not reported, and 2 more, job j1',
  ],
])('%j', (facts, evidence) => {
  expect(appProblem(done(facts))).toEqual({
    code: 'app-not-consistent',
    vmid: 101,
    sentence: expect.stringContaining('were not at rest in its newest backup'),
    evidence,
    nextStep: expect.stringContaining('felhom-controller quiesce test'),
  });
});

test.each<[string, Partial<Job>, ReturnType<typeof appProblem>]>([
  ['all were consistent', { label: 'app' }, 'clear'],
  ['the guest was down', { label: 'stopped' }, 'clear'],
  ['the guest has no applications any more', { intends: [] }, 'clear'],
  ['an extra one without applications', { intends: [], source: 'guest' }, 'clear'],
  ['the guest took no part', { intends: [], source: 'agent' }, null],
  ['by hand on the host', { intends: [], source: 'operator' }, null],
])('%s', (_what, facts, expected) => {
  expect(appProblem(done(facts))).toBe(expected);
});
