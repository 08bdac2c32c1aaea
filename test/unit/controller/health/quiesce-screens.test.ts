import { expect, test } from 'vitest';
import type { TriedApp } from '#controller/backup/trial';
import {
  nextOf,
  renderQuiesceStatus,
  renderTrial,
  statusNeedsAttention,
  trialNeedsAttention,
} from '#controller/health/quiesce-screens';
import type { QuiescedStatus } from '#shared/quiesce/protocol';

const tried = (change: Partial<TriedApp> = {}): TriedApp => ({
  name: 'notes',
  adapter: 'command',
  kind: 'command-app',
  held: true,
  held_ms: 320,
  consistent: true,
  covered: true,
  ok: true,
  code: 'ok',
  why: '',
  running: true,
  would_hold: true,
  prepare_ms: 12,
  not_back: '',
  ...change,
});

test('a trial: how long each was held, what a backup would do, whether it would count, why not and what to do', () => {
  const apps = [
    tried(),
    tried({ name: 'db', adapter: 'postgres', kind: 'postgres', held_ms: 110, would_hold: false }),
    tried({
      name: 'wiki',
      ok: false,
      covered: false,
      code: 'not-covered',
      why: '/mnt/wiki is not in the backup: It is elsewhere',
    }),
    tried({
      name: 'old',
      kind: null,
      held: false,
      held_ms: null,
      running: false,
      would_hold: false,
      ok: false,
      code: 'not-ready',
      why: 'no such socket',
    }),
    tried({ name: 'web', not_back: 'exit status 1' }),
  ];
  expect(renderTrial({ one_instant: true, apps })).toMatchInlineSnapshot(`
    "Held and let go just now, judged as for a backup that fixes all data in one instant:

      application  kind         just now        in a backup  counts as consistent
      notes        command-app  held for 0.3 s  is held      yes
      db           postgres     held for 0.1 s  is not held  yes
      wiki         command-app  held for 0.3 s  is held      NO
      old          command      not held                     NO
      web          command-app  held for 0.3 s  is held      yes

      wiki does not count: /mnt/wiki is not in the backup: It is elsewhere.
        next: move its data to a disk that backups include, or protect it another way
      old does not count: no such socket.
        next: mend that, then: felhom-controller quiesce test
      web is NOT BACK: exit status 1. felhom-quiesced goes on trying.

    Something needs attention.
    "
  `);
});

test.each<[string, Partial<TriedApp>, boolean]>([
  ['well', {}, false],
  ['as it is declared', { ok: false, code: 'declared', why: 'x' }, false],
  ['not held', { ok: false, code: 'not-held', why: 'x' }, true],
  ['not back', { not_back: 'x' }, true],
])('a trial that went %s', (_what, change, attention) => {
  expect(trialNeedsAttention({ one_instant: true, apps: [tried(change)] })).toBe(attention);
});

test('no application at all', () => {
  expect(renderTrial({ one_instant: false, apps: [] })).toBe('No application is to be held: quiesce.yaml names none.\n');
});

const STATUS: QuiescedStatus = {
  version: '0.1.0',
  config_error: '',
  apps: [{ name: 'notes', adapter: 'command', hold: 'auto' }],
  hold_max_ms: 60_000,
  lease: null,
  not_back: [],
};

test('status', () => {
  expect(renderQuiesceStatus(STATUS)).toMatchInlineSnapshot(`
    "Applications (quiesce.yaml)
      notes                 command, hold: auto

    felhom-quiesced
      version               0.1.0
      holds at the most     60.0 s
      held now              nothing

    All is well.
    "
  `);
  const sick: QuiescedStatus = {
    ...STATUS,
    config_error: 'not owned by root; chown root:root /etc/felhom/quiesce.yaml',
    apps: [],
    lease: { apps: ['notes'], left_ms: 4000 },
    not_back: [{ app: 'web', error: 'exit status 1', since_ms: 61_000 }],
  };
  expect(renderQuiesceStatus(sick)).toMatchInlineSnapshot(`
    "Applications (quiesce.yaml)
      cannot be used: not owned by root; chown root:root /etc/felhom/quiesce.yaml

    felhom-quiesced
      version               0.1.0
      holds at the most     60.0 s
      held now              notes, for 4.0 s at the most
      NOT BACK              web, for 61 seconds: exit status 1; it is tried again for ever

    Something needs attention.
    "
  `);
  expect([STATUS, sick].map(statusNeedsAttention)).toEqual([false, true]);
});

test.each([['busy'], ['config'], ['unreachable'], ['closed']] as const)('what to try when it is %s', (code) => {
  expect(nextOf(code)).not.toBe('');
});
