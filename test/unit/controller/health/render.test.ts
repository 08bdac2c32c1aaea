import { expect, test } from 'vitest';
import type { AppOutcome } from '#controller/backup/result';
import { findings, whyNoAnswer } from '#controller/health/findings';
import type { Overview, Part } from '#controller/health/overview';
import { render } from '#controller/health/render';
import type { Archive } from '#shared/wire/archives';
import type { Problem } from '#shared/wire/problems';
import { idleStatus } from '../fake-agent.ts';

const known = <T>(value: T): Part<T> => ({ known: true, value });
const PIN = '0123456789abcdef'.repeat(4);
const GIB = 1024 ** 3;

const target = () => ({
  name: 'usb-backup',
  type: 'dir',
  state: 'active' as const,
  reachable: true,
  total_bytes: 931 * GIB,
  used_bytes: 400 * GIB,
  avail_bytes: 531 * GIB,
  used_fraction: 0.43,
  content: 'backup',
  mount_path: '/mnt/usb',
  class_hint: 'slow' as const,
  age_seconds: 2,
  smart: { health: 'PASSED' as const, temperature_c: 38, percentage_used: null },
});

const archive = (change: Partial<Archive> = {}): Archive => ({
  volid: 'usb-backup:backup/vzdump-lxc-101-2026_03_01-05_00_00.tar.zst',
  created_at: '2026-03-01T04:00:00.000Z',
  age_seconds: 3 * 3600,
  size_bytes: 3 * GIB,
  label: 'filesystem',
  source: 'schedule',
  protected: false,
  verification: 'ok',
  verified_at: '2026-03-01T05:00:00.000Z',
  verification_error: '',
  proven_at: null,
  notes: '',
  ...change,
});

const problem = (change: Partial<Problem> = {}): Problem => ({
  code: 'target-full',
  severity: 'critical',
  vmid: null,
  sentence: 'There is no room for another backup.',
  evidence: '1 GiB free, 4 GiB wanted',
  next_step: 'Make room on the backup drive.',
  since: '2026-03-01T04:00:00.000Z',
  ...change,
});

const outcome = (change: Partial<AppOutcome> = {}): AppOutcome => ({
  name: 'db',
  adapter: 'command',
  kind: 'command-app',
  held: true,
  held_ms: 1234,
  consistent: true,
  covered: true,
  ok: true,
  code: 'ok',
  why: '',
  ...change,
});

const well = (): Overview => ({
  taken_at: '2026-03-01T07:00:00.000Z',
  agent: known({ vmid: 101, endpoints: [{ address: '10.10.10.1', port: 8443, fingerprints: [PIN] }] }),
  identity: known({
    version: '0.1.0',
    host_scope: 'pve1-k3v7q2m5xw8r4t6y9zbc',
    node: 'pve1',
    vmid: 101,
    scopes: ['metrics', 'backup'],
    fingerprints: { now: PIN, next: null },
  }),
  host: known({
    vmid: 101,
    host: {
      node: 'pve1',
      cpu_percent: 12,
      memory_total_bytes: 16 * GIB,
      memory_used_bytes: 4 * GIB,
      memory_percent: 25,
      disk_total_bytes: 94 * GIB,
      disk_used_bytes: 10 * GIB,
      disk_percent: 10.6,
      loadavg: ['0.10', '0.20', '0.30'],
      uptime_seconds: 1_000_000,
      cpu_temp_c: 52,
    },
    storage_targets: [target()],
    stale: [],
  }),
  storage: known({
    vmid: 101,
    age_seconds: 1,
    mounts: [
      { key: 'rootfs', storage: 'local-lvm', mount_point: '/', class: 'fast', backup: true },
      { key: 'mp0', storage: '', mount_point: '/mnt/photos', class: 'slow', backup: false },
    ],
  }),
  backup: known({
    ...idleStatus,
    phase: 'done',
    job_id: 'job-1',
    started_at: '2026-03-01T04:00:00.000Z',
    finished_at: '2026-03-01T04:10:00.000Z',
    size_bytes: 3 * GIB,
    label: 'filesystem',
  }),
  archives: known({ vmid: 101, backups: [archive(), archive({ age_seconds: 100_000 })], next: '', age_seconds: 30 }),
  coverage: known({
    vmid: 101,
    age_seconds: 1,
    mounts: [
      { key: 'rootfs', storage: 'local-lvm', mount_point: '/', state: 'in-backup', reason: '' },
      { key: 'mp0', storage: '', mount_point: '/mnt/photos', state: 'bind', reason: 'it is a directory of the host' },
    ],
  }),
  problems: known({ vmid: 101, problems: [] }),
  controller: known({
    loop: 123,
    last: {
      started_at: '2026-03-01T04:00:00.000Z',
      finished_at: '2026-03-01T04:10:00.000Z',
      outcome: 'done',
      job_id: 'job-1',
      release: 'point',
      held_ms: 2345,
      apps: [
        outcome({ name: 'db' }),
        outcome({ name: 'wiki', adapter: 'postgres', kind: 'postgres', held: false, held_ms: null }),
      ],
      quiesce_error: '',
      label: 'app',
      error: '',
    },
  }),
  quiesced: known({
    version: '0.1.0',
    config_error: '',
    apps: [
      { name: 'db', adapter: 'command', hold: 'auto' },
      { name: 'wiki', adapter: 'postgres', hold: 'auto' },
    ],
    hold_max_ms: 60_000,
    lease: null,
    not_back: [],
  }),
});

test('one screen when all is well', () => {
  expect(render(well())).toMatchInlineSnapshot(`
    "The host
      name                  pve1 (pve1-k3v7q2m5xw8r4t6y9zbc); this guest is number 101
      agent                 version 0.1.0, at 10.10.10.1:8443
      pinned certificate    0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
      asked                 just now

    How the host is (measured just now)
      processor             12 %, load 0.10 0.20 0.30
      its temperature       52 °C
      memory                4.0 GiB of 16.0 GiB used (25 %)
      its own disk          10.0 GiB of 94.0 GiB used (11 %)
      running for           11 days

    Storage of the host
      usb-backup            active, 400.0 GiB of 931.0 GiB used (43 %), drive healthy; as of just
                            now

    This guest's data
      as configured         just now
      in the backup         / (rootfs on local-lvm)
      NOT in the backup     /mnt/photos (mp0): it is a directory of the host

    Last backup
      state                 done, 2 hours ago, took 10 minutes
      size                  3.0 GiB
      what it is good for   its file systems were consistent when its data was fixed (filesystem)

    Archives
      how many              2, as listed 30 seconds ago
      newest                3 hours ago, 3.0 GiB, label filesystem
      verified              yes, 2 hours ago: read to its end and whole

    Applications, as of the last backup with the controller
      db                    held for 1.2 s; counts as consistent
      wiki                  not held, it needs none; counts as consistent

    This controller
      loop                  runs (process 123)
      last try              done, 2 hours ago
      last hold             for 2.3 s, let go because the data in the archive is fixed

    All is well.
    "
  `);
  expect(findings(well())).toEqual([]);
});

test('no line is wider than 100, whatever the agent says', () => {
  const overview = well();
  overview.backup = known({ ...idleStatus, phase: 'failed', error: 'no space left '.repeat(30), warnings: ['x'.repeat(60)] });
  for (const line of render(overview).split('\n')) expect(line.length).toBeLessThanOrEqual(100);
});

test('what an agent says cannot steer the terminal', () => {
  const overview = well();
  overview.backup = known({ ...idleStatus, phase: 'failed', error: '\u001b[2J\u202egone\r\nfake: all is well' });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
  expect(render(overview)).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
});

test('applications of a guest that was shut down for its backup were at rest, whatever became of the hold', () => {
  const overview = well();
  const last = overview.controller.known ? overview.controller.value.last : null;
  Object.assign(last ?? {}, { label: 'stopped', release: 'stop' });
  Object.assign(last?.apps[0] ?? {}, { ok: false, code: 'no-point', why: 'it was let go before its data was fixed' });
  expect(findings(overview)).toEqual([]);
  expect(render(overview)).toMatch(/db +at rest: the guest was shut down for its backup/);
});

type WithValues = { [K in keyof Overview]: Overview[K] extends Part<infer T> ? T : Overview[K] };

/** Changes what an overview knows. */
const changed = (change: (values: WithValues) => void): Overview => {
  const overview = well();
  const values = Object.fromEntries(
    Object.entries(overview).map(([key, value]) => [key, typeof value === 'object' && value.known ? value.value : value]),
  ) as WithValues;
  change(values);
  const wrapped = Object.entries(values).map(([key, value]) => [key, typeof value === 'string' ? value : known(value)]);
  return Object.fromEntries(wrapped) as Overview;
};

test.each<[string, (values: WithValues) => unknown, string]>([
  ['a failure', ({ backup }) => Object.assign(backup, { phase: 'failed', error: 'x' }), 'backup-failed'],
  [
    'a time in the future',
    ({ backup }) => Object.assign(backup, { started_at: '2026-03-02T07:00:00.000Z', finished_at: '2026-03-02T07:10:00.000Z' }),
    'backup-age-unknown',
  ],
  ['no time at all', ({ backup }) => Object.assign(backup, { started_at: null, finished_at: null }), 'backup-age-unknown'],
  [
    'an old backup whose end was seen late',
    (values) =>
      Object.assign(values, {
        taken_at: '2026-03-04T07:00:00.000Z',
        backup: { ...values.backup, finished_at: '2026-03-04T06:59:00.000Z' },
      }),
    'backup-old',
  ],
  [
    'a backup that runs for ever',
    ({ backup }) => Object.assign(backup, { phase: 'running', started_at: '2026-02-26T07:00:00.000Z', finished_at: null }),
    'backup-long',
  ],
  [
    'a backup that nobody has confirmed',
    ({ backup }) => Object.assign(backup, { phase: 'running', started_at: null, finished_at: null }),
    'backup-unconfirmed',
  ],
  [
    'an archive that could not be seen',
    ({ backup }) => Object.assign(backup, { warnings: ['The backup storage could not be asked whether the archive is there.'] }),
    'backup-warnings',
  ],
  [
    'an application that is not back',
    ({ quiesced }) => quiesced.not_back.push({ app: 'db', error: 'exit status 1', since_ms: 90_000 }),
    'app-not-back',
  ],
  [
    'a quiesce.yaml that is refused',
    ({ quiesced }) => Object.assign(quiesced, { apps: [], config_error: 'it is not owned by root: chown root:root it' }),
    'quiesce-config',
  ],
  [
    'an application whose data is elsewhere',
    ({ controller }) =>
      Object.assign(controller.last?.apps[0] ?? {}, { ok: false, code: 'not-covered', why: 'it is on a bind mount' }),
    'app-not-covered',
  ],
  [
    'an application that could not be held',
    ({ controller }) => Object.assign(controller.last?.apps[0] ?? {}, { ok: false, code: 'not-held', why: 'it took too long' }),
    'app-not-consistent',
  ],
  [
    'a felhom-quiesced that did not answer the last time',
    ({ controller }) => Object.assign(controller.last ?? {}, { apps: [], quiesce_error: 'felhom-quiesced cannot be reached' }),
    'quiesced-failed',
  ],
  ["the guest's storage as it was an hour ago", ({ storage }) => Object.assign(storage, { age_seconds: 3600 }), 'storage-old'],
  ["the guest's storage of a time unknown", ({ storage }) => Object.assign(storage, { age_seconds: null }), 'storage-old'],
  ['age', (values) => Object.assign(values, { taken_at: '2026-03-04T07:00:00.000Z' }), 'backup-old'],
  ['storage gone', ({ host }) => Object.assign(host.storage_targets[0] ?? {}, { reachable: false }), 'storage-unreachable'],
  ['storage full', ({ host }) => Object.assign(host.storage_targets[0] ?? {}, { used_fraction: 0.95 }), 'storage-full'],
  ['a failing drive', ({ host }) => Object.assign(host.storage_targets[0]?.smart ?? {}, { health: 'FAILING' }), 'drive-failing'],
  ['a stale source', ({ host }) => host.stale.push({ source: 'storages', age_seconds: 60 }), 'source-stale'],
  ['no loop', ({ controller }) => Object.assign(controller, { loop: null }), 'loop-not-running'],
  [
    'a guest without any archive, though its last backup went well',
    ({ archives }) => Object.assign(archives, { backups: [] }),
    'archive-none',
  ],
  [
    'a guest whose only archive is damaged',
    ({ archives }) => Object.assign(archives, { backups: [archive({ verification: 'failed' })] }),
    'archive-none',
  ],
  [
    'a first backup that is still running',
    ({ archives, backup }) => {
      Object.assign(archives, { backups: [] });
      Object.assign(backup, { phase: 'running', finished_at: null });
    },
    'archive-none',
  ],
  [
    'an old archive that nobody has read',
    ({ archives }) => Object.assign(archives, { backups: [archive({ verification: 'pending', age_seconds: 26 * 3600 })] }),
    'archive-unproved',
  ],
  [
    'an archive of the future that nobody has read',
    ({ archives }) => Object.assign(archives, { backups: [archive({ verification: 'pending', age_seconds: -30 * 3600 })] }),
    'archive-unproved',
  ],
  [
    'no job and no archive',
    ({ archives, backup }) => {
      Object.assign(archives, { backups: [] });
      Object.assign(backup, idleStatus);
    },
    'backup-none',
  ],
  [
    'no job, and an archive that is damaged',
    ({ archives, backup }) => {
      Object.assign(archives, { backups: [archive({ verification: 'failed' })] });
      Object.assign(backup, idleStatus);
    },
    'archive-none',
  ],
  ['a critical problem', ({ problems }) => problems.problems.push(problem()), 'target-full'],
  ['a warning', ({ problems }) => problems.problems.push(problem({ code: 'guest-absent', severity: 'warning' })), 'guest-absent'],
  [
    'a failure that the agent has reported itself',
    ({ backup, problems }) => {
      Object.assign(backup, { phase: 'failed', error: 'x' });
      problems.problems.push(problem({ code: 'backup-failing', severity: 'warning' }));
    },
    'backup-failing',
  ],
  [
    'an old backup that the agent has reported itself',
    (values) => {
      Object.assign(values, { taken_at: '2026-03-04T07:00:00.000Z' });
      values.problems.problems.push(problem({ code: 'backup-overdue' }));
    },
    'backup-overdue',
  ],
  ['an offer that lapsed', ({ controller }) => Object.assign(controller.last ?? {}, { outcome: 'lapsed' }), 'attempt-failed'],
  ['a refusal', ({ controller }) => Object.assign(controller.last ?? {}, { outcome: 'refused' }), 'attempt-failed'],
])('%s needs attention', (_what, change, code) => {
  expect(findings(changed(change)).map((finding) => finding.code)).toEqual([code]);
});

test.each<[string, (values: WithValues) => unknown]>([
  [
    'a young archive that nobody has read yet',
    ({ archives }) => Object.assign(archives, { backups: [archive({ verification: 'pending', age_seconds: 26 * 3600 - 1 })] }),
  ],
  [
    'a damaged archive before a good one',
    ({ archives }) => Object.assign(archives, { backups: [archive({ verification: 'failed' }), archive()] }),
  ],
  [
    'archives of which an old one was read',
    ({ archives }) =>
      Object.assign(archives, {
        backups: [archive({ verification: 'unsupported', age_seconds: 200_000 }), archive({ age_seconds: 300_000 })],
      }),
  ],
  ['archives but no job', ({ backup }) => Object.assign(backup, idleStatus)],
  [
    'an application of which quiesce.yaml asks no more',
    ({ controller }) => Object.assign(controller.last?.apps[0] ?? {}, { ok: false, code: 'declared', why: 'so it says' }),
  ],
  [
    'an application that quiesce.yaml no longer names',
    ({ quiesced, controller }) => {
      Object.assign(quiesced, { apps: [] });
      Object.assign(controller.last?.apps[0] ?? {}, { ok: false, code: 'not-held', why: 'x' });
    },
  ],
  ['a hold in the middle of a backup', ({ quiesced }) => Object.assign(quiesced, { lease: { apps: ['db'], left_ms: 9000 } })],
  ['a mere notice', ({ problems }) => problems.problems.push(problem({ code: 'guest-elsewhere', severity: 'notice' }))],
])('%s needs no attention', (_what, change) => {
  expect(findings(changed(change))).toEqual([]);
});

/** The lines from a heading to the next empty one. */
const under = (screen: string, heading: string): string[] =>
  (screen.split(`${heading}\n`)[1] ?? '').split('\n\n')[0]?.trimEnd().split('\n') ?? [];

test('problems: the worst first, how bad, since when, what to do; notices apart', () => {
  const list = [
    problem({ code: 'guest-elsewhere', severity: 'notice', sentence: 'The guest has moved.', next_step: '' }),
    problem({ code: 'guest-absent', severity: 'warning', sentence: 'The guest was silent.', next_step: 'Look there.' }),
    problem(),
  ];
  const screen = render(changed(({ problems }) => problems.problems.push(...list)));
  expect(under(screen, 'What needs attention')).toEqual([
    '  - There is no room for another backup. (critical; began 3 hours ago)',
    '    next: Make room on the backup drive.',
    '  - The guest was silent. (warning; began 3 hours ago)',
    '    next: Look there.',
    'Good to know',
    '  - The guest has moved. (notice; began 3 hours ago)',
  ]);
});

test('a notice does not make it unwell', () => {
  const screen = render(changed(({ problems }) => problems.problems.push(problem({ severity: 'notice' }))));
  expect(screen).toContain('All is well.\nGood to know\n  - There is no room');
});

test.each<[string, Partial<Archive>, string[]]>([
  ['not read yet', { verification: 'pending' }, ['not yet', 'newest verified       1 day ago']],
  [
    'damaged',
    { verification: 'failed', verification_error: 'it ends too early' },
    ['NO, it is damaged: it ends too early', 'newest verified       1 day ago'],
  ],
  ['unreadable here', { verification: 'unsupported' }, ['no: archives of this kind cannot be read here']],
])('the newest archive is %s', (_what, change, says) => {
  const screen = render(
    changed(({ archives }) => Object.assign(archives, { backups: [archive(change), archive({ age_seconds: 172_000 })] })),
  );
  const lines = under(screen, 'Archives').join('\n');
  for (const text of says) expect(lines).toContain(text.replace('1 day', '47 hours'));
});

test('no archive; and more of them than one answer holds', () => {
  expect(under(render(changed(({ archives }) => Object.assign(archives, { backups: [] }))), 'Archives')).toEqual([
    '  how many              none, as listed 30 seconds ago',
  ]);
  expect(render(changed(({ archives }) => Object.assign(archives, { next: 'x' })))).toContain('2 or more, as listed');
});

test('one line for each mount that is not in the backup', () => {
  const mounts = (['in-backup', 'excluded', 'bind', 'device', 'unknown'] as const).map((state, index) => ({
    key: `mp${index}`,
    storage: 'x',
    mount_point: `/${state}`,
    state,
    reason: index === 4 ? '' : `because ${index}`,
  }));
  expect(under(render(changed(({ coverage }) => Object.assign(coverage, { mounts }))), "This guest's data").slice(2)).toEqual([
    '  NOT in the backup     /excluded (mp1 on x): because 1',
    '  NOT in the backup     /bind (mp2 on x): because 2',
    '  NOT in the backup     /device (mp3 on x): because 3',
    '  perhaps in it         /unknown (mp4 on x)',
  ]);
});

test('an agent that lacks the new endpoints: that is said, nothing is well, and the rest is shown', () => {
  const old = { known: false, code: 'not-found', error: 'The agent on the host is of an older version.' } as const;
  const overview = { ...well(), archives: old, coverage: old, problems: old };
  expect(findings(overview)).toEqual(
    ['Which archives there are', 'What a backup leaves out', 'What is wrong with this guest or its host'].map((what) => ({
      code: 'not-known',
      sentence: `${what} is not known: ${old.error}`,
      next: 'have the agent on the host brought up to date',
    })),
  );
  const screen = render(overview);
  expect(under(screen, "This guest's data")).toContain('  NOT in the backup     /mnt/photos (mp0)');
  expect(under(screen, "This guest's data")).toContain(`  what is left out      not known: ${old.error}`);
  expect(under(screen, 'Archives')).toEqual([`  not known: ${old.error}`]);
  expect(screen).toContain('Last backup\n  state                 done');
});

test('a felhom-quiesced that nobody reaches: that is said, and what to do', () => {
  const overview = { ...well(), quiesced: { known: false, code: 'unreachable', error: 'Nobody listens.' } as const };
  expect(findings(overview)).toMatchObject([{ code: 'quiesced-unreachable', next: 'systemctl start felhom-quiesced.socket' }]);
  expect(render(overview)).toContain('not known: Nobody listens.');
  const forbidden = { ...overview, quiesced: { ...overview.quiesced, code: 'forbidden' } };
  expect(findings(forbidden)).toMatchObject([{ next: 'run this as root or as the user felhom' }]);
});

test('an application that is not back comes first, whatever else is wrong', () => {
  const overview = changed(({ quiesced, problems }) => {
    quiesced.not_back.push({ app: 'db', error: 'exit status 1', since_ms: 90_000 });
    problems.problems.push(problem());
  });
  expect(under(render(overview), 'What needs attention')[0]).toBe(
    '  - db was let go after a backup and is not back: exit status 1 (critical)',
  );
});

test('each application: how it was held, whether it counted, why not, who is not back', () => {
  const screen = render(
    changed(({ quiesced, controller }) => {
      quiesced.apps.push({ name: 'cache', adapter: 'redis', hold: 'auto' }, { name: 'new', adapter: 'sqlite', hold: 'auto' });
      quiesced.not_back.push({ app: 'wiki', error: 'exit status 1', since_ms: 90_000 });
      quiesced.lease = { apps: ['db'], left_ms: 9000 };
      controller.last?.apps.push(outcome({ name: 'cache', ok: false, held: false, code: 'not-held', why: 'it took too long' }));
    }),
  );
  expect(under(screen, 'Applications, as of the last backup with the controller')).toEqual([
    '  db                    held for 1.2 s; counts as consistent',
    '  wiki                  NOT BACK for 90 seconds: exit status 1',
    '  cache                 not held; does NOT count as consistent: it took too long',
    '  new                   not yet part of a backup',
    '  held now              db, for 9.0 s at the most',
  ]);
});

test('an agent that does not answer: what failed, and what to try', () => {
  const overview = well();
  overview.identity = { known: false, code: 'bootstrap-missing', error: 'There is no bootstrap file.' };
  expect(whyNoAnswer(overview)).toMatchObject({
    code: 'bootstrap-missing',
    next: expect.stringContaining('felhom-agent guest enroll'),
  });
  expect(render(overview)).toContain('not known: There is no bootstrap file.');
  expect(render(overview)).not.toContain('All is well');
});

test.each([
  ['timed out', 'internal', ['not-known']],
  ['is not allowed to this token', 'scope-missing', []],
])('a part that %s', (_what, code, codes) => {
  const overview = { ...well(), storage: { known: false, code, error: 'No.' } as const };
  expect(findings(overview).map((finding) => finding.code)).toEqual(codes);
});
