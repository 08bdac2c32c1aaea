/** The console's backup commands over the real admin socket, with services that the test makes. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { newJob } from '#agent/backups/jobs';
import { statusView } from '#agent/backups/view';
import { agentProgram } from '#agent/cli/program';
import type { Problem } from '#agent/health/problems';
import { type AdminServer, createAdminServer } from '#agent/http/admin';
import { type AdminServices, adminHandlers } from '#agent/http/admin-handlers';
import { FelhomError } from '#shared/errors';
import { DutyOverview, PrunePlan, RestoreAdvice } from '#shared/wire/admin-backups';
import { type Archive, Archives } from '#shared/wire/archives';
import type { BackupStatus } from '#shared/wire/backups';

const volidOf = (day: number) => `usb:backup/vzdump-lxc-101-2026_11_${String(day).padStart(2, '0')}-04_15_00.tar.zst`;

const archive = (day: number, facts: Partial<Archive> = {}): Archive => ({
  volid: volidOf(day),
  created_at: `2026-11-${String(day).padStart(2, '0')}T04:15:00.000Z`,
  age_seconds: 3600,
  size_bytes: 3 * 1024 ** 3,
  label: 'filesystem',
  source: 'schedule',
  protected: false,
  verification: 'ok',
  verified_at: `2026-11-${String(day).padStart(2, '0')}T09:00:00.000Z`,
  verification_error: '',
  proven_at: null,
  notes: '',
  ...facts,
});

const page = (vmid: number, backups: Archive[], next = ''): Archives => ({ vmid, backups, next, age_seconds: 3 });

const PROBLEM: Problem = {
  code: 'backup-failing',
  severity: 'warning',
  vmid: 101,
  sentence: 'The backup of this guest failed twice.',
  evidence: '2 attempts since 2026-11-21',
  nextStep: "The operator looks at the last attempt's log.",
  since: Date.UTC(2026, 10, 21, 4, 15),
};

const unused = (): never => {
  throw new FelhomError('not-known', 'This test has no such service.');
};

let directory: string;
let configFile: string;
let server: AdminServer;
let services: AdminServices;
let guests: number[];
/** What the services were asked to do. */
let asked: string[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'felhom-admin-'));
  configFile = join(directory, 'agent.yaml');
  writeFileSync(configFile, `listen: [{address: 127.0.0.1, port: 8443}]\nruntime_dir: ${directory}/run\n`);
  guests = [101];
  asked = [];
  services = {
    enrolment: { enroll: unused, share: unused, remove: unused },
    duty: { run: unused, overview: unused },
    backups: { status: unused, cancel: unused },
    archives: { list: unused, protect: unused, verify: unused, verifyState: unused, prune: unused, restoreAdvice: unused },
    problems: { list: () => [] },
    disks: { list: unused, show: unused, demote: unused, release: unused, eject: unused },
    formats: { any: unused },
    ops: { list: unused, show: unused, prepare: unused, grant: unused, acceptState: unused, acceptClock: unused },
  };
  const registry = {
    list: () => ({
      guests: guests.map((vmid) => ({
        vmid,
        enrolled_at: '2026-11-01T00:00:00Z',
        scopes: [],
        state: 'active',
        last_seen_at: null,
      })),
    }),
  };
  const handlers = adminHandlers(registry as never, services);
  server = await createAdminServer({ runtimeDir: join(directory, 'run'), handlers, journal: () => undefined });
});
afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

const felhom = async (...args: string[]): Promise<{ status: number; out: string; err: string }> => {
  const ran = { status: 0, out: '', err: '' };
  const io = {
    out: (line: string) => {
      ran.out += `${line}\n`;
    },
    err: (line: string) => {
      ran.err += `${line}\n`;
    },
    exit: (status: number) => {
      ran.status = status;
    },
  };
  try {
    await agentProgram(io).parseAsync([...args, '--config', configFile], { from: 'user' });
  } catch (error) {
    io.err((error as Error).message);
    io.exit(1);
  }
  return ran;
};

const JOB = newJob({
  jobId: 'b-1',
  vmid: 101,
  requestId: null,
  storage: 'usb',
  createdAt: 0,
  source: 'operator',
  configDigest: '',
  intends: [],
} as Parameters<typeof newJob>[0]);

test('backup list: every archive with what it can be trusted for, page after page', async () => {
  guests = [101, 102];
  services.archives.list = async (vmid, { after }) => {
    asked.push(`${vmid} ${after ?? ''}`.trim());
    if (vmid === 102) return { ...page(102, []), age_seconds: 600 };
    return after === undefined
      ? page(
          101,
          [archive(22, { verification: 'pending', verified_at: null }), archive(21, { protected: true, label: 'app' })],
          'p2',
        )
      : page(101, [archive(20, { verification: 'failed', label: 'crash', source: 'agent', size_bytes: 700 })]);
  };
  const { status, out, err } = await felhom('backup', 'list');
  expect(status).toBe(0);
  expect(asked).toEqual(['101', '101 p2', '102']);
  expect(out).toBe(
    `VMID  MADE                  SIZE     LABEL       SOURCE    VERIFIED              PROTECTED  ARCHIVE
101   2026-11-22T04:15:00Z  3.0 GiB  filesystem  schedule  not yet               -          ${volidOf(22)}
101   2026-11-21T04:15:00Z  3.0 GiB  app         schedule  2026-11-21T09:00:00Z  yes        ${volidOf(21)}
101   2026-11-20T04:15:00Z  700 B    crash       agent     DAMAGED               -          ${volidOf(20)}
`,
  );
  expect(err).toBe(
    'Guest 102 has no archive. "felhom-agent backup due" says when the next backup comes.\n' +
      'The storage could not be listed now: what is shown of guest 102 is 10 min old.\n',
  );

  const json = JSON.parse((await felhom('backup', 'list', '101', '--json')).out);
  expect(json.guests).toMatchObject([{ vmid: 101, backups: [{ volid: volidOf(22) }, {}, {}], age_seconds: 3 }]);
});

test('backup list: a guest that cannot be asked about does not hide the others', async () => {
  guests = [101, 102];
  services.archives.list = async (vmid) => {
    if (vmid === 101) throw new FelhomError('guest-elsewhere', 'Guest 101 now runs on another server.');
    return page(102, [archive(22)]);
  };
  const { status, out, err } = await felhom('backup', 'list');
  expect([status, out, err]).toEqual([
    1,
    expect.stringContaining(volidOf(22)),
    'guest 101: Guest 101 now runs on another server.\n',
  ]);
  const one = await felhom('backup', 'list', '101');
  expect([one.status, one.out, one.err]).toEqual([1, '', 'Guest 101 now runs on another server.\n']);
});

test('2,000 archives are listed whole', async () => {
  const all = Array.from({ length: 2000 }, (_none, index) =>
    archive(1, { volid: `usb:backup/${index}`, notes: 'n'.repeat(1024), verification_error: 'e'.repeat(300) }),
  );
  services.archives.list = async (_vmid, { after }) => {
    const from = Number(after ?? 0);
    return page(101, all.slice(from, from + 200), from + 200 < all.length ? String(from + 200) : '');
  };
  const { out } = await felhom('backup', 'list', '101', '--json');
  expect(JSON.parse(out).guests[0].backups).toHaveLength(2000);
});

const at = (text: string): number => Date.parse(text);

const OVERVIEW = {
  guests: [
    {
      vmid: 101,
      due: true,
      reason: 'The last good backup is 2 days old.',
      nextAt: at('2026-11-22T04:15:00Z'),
      lastGoodAt: at('2026-11-20T04:20:00Z'),
      failures: 2,
      offeredUntil: null,
    },
    {
      vmid: 102,
      due: false,
      reason: 'Backed up 3 hours ago.',
      nextAt: at('2026-11-23T04:15:00Z'),
      lastGoodAt: at('2026-11-22T04:20:00Z'),
      failures: 0,
      offeredUntil: null,
    },
    {
      vmid: 103,
      due: true,
      reason: 'There is no backup yet.',
      nextAt: null,
      lastGoodAt: null,
      failures: 0,
      offeredUntil: at('2026-11-22T07:03:00Z'),
    },
  ],
  busy: 'it is offered to guest 103 until 07:03.',
};

test('backup due: when next, why it waits, failures, and what is wrong', async () => {
  services.duty.overview = async () => OVERVIEW;
  services.problems.list = () => [PROBLEM];
  const { status, out, err } = await felhom('backup', 'due');
  expect([status, err]).toEqual([0, 'The backup slot of this node is taken: it is offered to guest 103 until 07:03.\n']);
  expect(out).toBe(`VMID  DUE                                 NEXT                  LAST GOOD             FAILURES  WHY
101   now                                 2026-11-22T04:15:00Z  2026-11-20T04:20:00Z  2         The last good backup is 2 days old.
102   no                                  2026-11-23T04:15:00Z  2026-11-22T04:20:00Z  0         Backed up 3 hours ago.
103   offered until 2026-11-22T07:03:00Z  -                     none                  0         There is no backup yet.

warning: guest 101: The backup of this guest failed twice.
  seen   2 attempts since 2026-11-21
  next   The operator looks at the last attempt's log.
  since  2026-11-21T04:15:00Z (backup-failing)
`);
  const json = JSON.parse((await felhom('backup', 'due', '--json')).out);
  expect(json).toMatchObject({ guests: [{ vmid: 101 }, {}, {}], busy: OVERVIEW.busy, problems: [{ code: 'backup-failing' }] });
  expect(Value.Errors(DutyOverview, json)).toEqual([]);
});

test('problems: none is 0, some is 2', async () => {
  expect(await felhom('problems')).toEqual({ status: 0, out: '', err: 'Nothing is wrong that the agent knows of.\n' });
  services.problems.list = () => [PROBLEM, { ...PROBLEM, code: 'pmxcfs-down', severity: 'critical', vmid: null, evidence: '' }];
  const { status, out } = await felhom('problems');
  expect(status).toBe(2);
  expect(out).toContain('critical: this host: The backup');
  expect(out.match(/ {2}seen/g)).toHaveLength(1);
  const json = await felhom('problems', '--json');
  expect([json.status, JSON.parse(json.out).problems.length]).toEqual([2, 2]);
});

/** The states that a run goes through, one at each question. */
const running = (...states: Partial<BackupStatus>[]): void => {
  services.duty.run = async (vmid) => ({ vmid, job_id: 'b-1', phase: 'running' });
  let revision = 0;
  services.backups.status = async (vmid, query) => {
    asked.push(`${query.wait ?? '0'} ${query.after ?? ''}`);
    const state = states.length > 1 ? states.shift() : states[0];
    revision += 1;
    return { ...statusView(vmid, JOB, `r.${revision}`), ...state };
  };
};

const DONE: Partial<BackupStatus> = {
  phase: 'done',
  archive: volidOf(22),
  label: 'crash',
  size_bytes: 2048,
  warnings: ['No agent.'],
};

test('backup run follows its job to the end, and says on stderr what happens', async () => {
  running(
    { phase: 'running' },
    { phase: 'running', mode: 'snapshot' },
    { phase: 'running', mode: 'snapshot', consistency_point_at: '2026-11-22T04:15:02.000Z' },
    { phase: 'running', mode: 'snapshot', consistency_point_at: '2026-11-22T04:15:02.000Z', progress: 0.31 },
    { phase: 'running', mode: 'snapshot', consistency_point_at: '2026-11-22T04:15:02.000Z', progress: 0.38 },
    DONE,
  );
  const { status, out, err } = await felhom('backup', 'run', '101');
  expect(status).toBe(0);
  expect(out).toBe(`archive  ${volidOf(22)}\nlabel    crash\nsize     2.0 KiB\nwarning  No agent.\n`);
  expect(err).toBe(`Backup b-1 of guest 101 runs.
Waiting for Proxmox.
Running in mode snapshot.
The data is fixed since 2026-11-22T04:15:02Z; it is being copied.
30 % copied.
`);
  expect(asked).toEqual(['0 ', '8 r.1', '8 r.2', '8 r.3', '8 r.4', '8 r.5']);
});

test.each<[string, Partial<BackupStatus>, string[], number, RegExp, RegExp]>([
  ['fails', { phase: 'failed', error: 'The storage is full.' }, [], 2, /^$/, /failed: The storage is full\./],
  ['fails, as JSON', { phase: 'failed', error: 'Full.' }, ['--json'], 2, /"phase":"failed"/, /runs/],
  ['is not waited for', DONE, ['--no-wait'], 0, /^$/, /^Backup b-1 of guest 101 runs\.\n$/],
  ['is not waited for, as JSON', DONE, ['--no-wait', '--json'], 0, /"job_id":"b-1"/, /runs/],
  ['was overtaken', { ...DONE, job_id: 'b-2' }, [], 1, /^$/, /Another backup/],
])('backup run: one that %s', async (_what, state, options, status, out, err) => {
  running(state);
  const ran = await felhom('backup', 'run', '101', ...options);
  expect([ran.status, ran.out, ran.err]).toEqual([status, expect.stringMatching(out), expect.stringMatching(err)]);
});

test('backup run: a refusal is a sentence and 1', async () => {
  services.duty.run = () => Promise.reject(new FelhomError('backup-slot-busy', 'Another backup runs.'));
  expect(await felhom('backup', 'run', '101')).toEqual({ status: 1, out: '', err: 'Another backup runs.\n' });
});

test('backup cancel', async () => {
  services.backups.cancel = async (vmid, why) => {
    asked.push(`${vmid} ${why}`);
    return { ...JOB, state: 'running' };
  };
  expect(await felhom('backup', 'cancel', '101')).toEqual({
    status: 0,
    out: '',
    err: 'Backup b-1 of guest 101 is being ended.\n',
  });
  expect(asked).toEqual(['101 cancelled']);
  expect(JSON.parse((await felhom('backup', 'cancel', '101', '--json')).out)).toEqual({
    vmid: 101,
    job_id: 'b-1',
    phase: 'running',
  });
});

test('backup protect sets and takes away', async () => {
  services.archives.protect = async (volid, on) => {
    asked.push(`${volid} ${on}`);
    return { volid, protected: on };
  };
  const on = await felhom('backup', 'protect', volidOf(22));
  const off = await felhom('backup', 'protect', volidOf(22), '--off', '--json');
  expect(asked).toEqual([`${volidOf(22)} true`, `${volidOf(22)} false`]);
  expect([on.status, on.out, on.err]).toEqual([0, '', `${volidOf(22)} is protected: nobody deletes it.\n`]);
  expect(JSON.parse(off.out)).toEqual({ volid: volidOf(22), protected: false });
});

test.each([
  ['ok', 0, `${volidOf(22)}: read to its end and whole, 2026-11-22T09:00:00Z\n`],
  ['failed', 2, `${volidOf(22)}: DAMAGED, 2026-11-22T09:00:00Z: It ends in the middle.\n`],
  ['unsupported', 2, `${volidOf(22)}: of a kind that cannot be read here: whether it is whole is not known\n`],
] as const)('backup verify: %s', async (verification, status, words) => {
  const begun = { volid: volidOf(22), running: true, verification: 'pending', verified_at: null, error: '' } as const;
  services.archives.verify = async (volid) => {
    asked.push(`begin ${volid}`);
    return begun;
  };
  services.archives.verifyState = async () => {
    asked.push('look');
    if (asked.length < 3) return begun;
    return {
      ...begun,
      running: false,
      verification,
      verified_at: '2026-11-22T09:00:00.000Z',
      error: verification === 'failed' ? 'It ends in the middle.' : '',
    };
  };
  const ran = await felhom('backup', 'verify', volidOf(22));
  expect([ran.status, ran.out]).toEqual([status, words]);
  expect(ran.err).toContain('is being read to its end');
  expect(asked).toEqual([`begin ${volidOf(22)}`, 'look', 'look']);
});

test('backup verify: an archive that could not be read is an error with its reason, and no verdict', async () => {
  const error = 'The archive could not be opened.';
  services.archives.verify = async (volid) => ({ volid, running: false, verification: 'pending', verified_at: null, error });
  for (const options of [[], ['--json']])
    expect(await felhom('backup', 'verify', volidOf(22), ...options)).toMatchObject({
      ...{ status: 1, out: '', err: `${volidOf(22)}: ${error}\n` },
    });
});

const row = (day: number, keep: boolean, why: string, facts: Partial<PrunePlan['archives'][number]> = {}) => {
  const { volid, created_at, size_bytes, source, label, verification } = archive(day);
  return { volid, created_at, size_bytes, source, label, verification, keep, why, ...facts };
};
const PLAN: PrunePlan = {
  vmid: 101,
  archives: [
    row(22, true, 'the newest', { verification: 'pending' }),
    row(21, true, 'the newest verified'),
    row(20, true, 'not made by felhom', { source: 'unknown', label: 'crash' }),
    row(19, false, 'no place left: 7 daily, 4 weekly, 6 monthly'),
  ],
  stopped: '',
  deleted: [],
};

test('backup prune --dry-run says for every archive why it is kept or goes', async () => {
  expect(Value.Errors(PrunePlan, PLAN)).toEqual([]);
  services.archives.prune = async (vmid, { dryRun }) => {
    asked.push(`${vmid} ${dryRun}`);
    return dryRun ? PLAN : { ...PLAN, deleted: [volidOf(19)] };
  };
  const dry = await felhom('backup', 'prune', '--dry-run');
  expect(dry).toEqual({
    status: 0,
    out: `VMID  RESULT  MADE                  SIZE     LABEL       VERIFIED  WHY                                          ARCHIVE
101   keep    2026-11-22T04:15:00Z  3.0 GiB  filesystem  not yet   the newest                                   ${volidOf(22)}
101   keep    2026-11-21T04:15:00Z  3.0 GiB  filesystem  yes       the newest verified                          ${volidOf(21)}
101   keep    2026-11-20T04:15:00Z  3.0 GiB  crash       yes       not made by felhom                           ${volidOf(20)}
101   goes    2026-11-19T04:15:00Z  3.0 GiB  filesystem  yes       no place left: 7 daily, 4 weekly, 6 monthly  ${volidOf(19)}
`,
    err: 'Guest 101: 1 would be deleted, 3 kept. Nothing was done.\n',
  });
  const real = await felhom('backup', 'prune', '101');
  expect(real.out).toMatch(/\n101 +deleted .*2026_11_19/);
  expect(real.err).toBe('Guest 101: 1 deleted, 3 kept.\n');
  expect(asked).toEqual(['101 true', '101 false']);
  expect(JSON.parse((await felhom('backup', 'prune', '101', '--dry-run', '--json')).out).guests).toEqual([PLAN]);
});

test('backup prune: 2,000 archives are told whole, and what stops all deleting is said', async () => {
  const many = Array.from({ length: 2000 }, (_none, index) => row(1, true, 'w'.repeat(300), { volid: `usb:backup/${index}` }));
  services.archives.prune = async () => ({ ...PLAN, archives: many, stopped: 'the newest archive is implausibly small.' });
  const { status, out, err } = await felhom('backup', 'prune', '101', '--dry-run');
  expect([status, out.split('\n').length]).toEqual([0, 2002]);
  expect(err).toBe('Guest 101: nothing is deleted: the newest archive is implausibly small.\n');
});

const ADVICE: RestoreAdvice = {
  volid: volidOf(22),
  vmid: 101,
  type: 'lxc',
  created_at: '2026-11-22T04:15:00.000Z',
  size_bytes: 3 * 1024 ** 3,
  label: 'filesystem',
  verification: 'ok',
  verified_at: '2026-11-22T09:00:00.000Z',
  verification_error: '',
  protected: false,
  overwrites: ['rootfs (local-lvm:vm-101-disk-0)', 'mp0, /data (local-lvm:vm-101-disk-1)'],
  warnings: ['Guest 101 runs: stop it first, "pct stop 101".'],
  command: `pct restore 101 ${volidOf(22)} --force --storage local-lvm`,
};

test('backup restore: the state, what would be overwritten, and the command last and alone', async () => {
  expect(Value.Errors(RestoreAdvice, ADVICE)).toEqual([]);
  services.archives.restoreAdvice = async (volid) => {
    asked.push(volid);
    return ADVICE;
  };
  expect(await felhom('backup', 'restore', volidOf(22))).toEqual({
    status: 0,
    err: '',
    out: `archive    ${volidOf(22)}
guest      101, a container
made       2026-11-22T04:15:00Z, 3.0 GiB
label      filesystem
verified   read to its end and whole, 2026-11-22T09:00:00Z
protected  no

It would overwrite:
  - rootfs (local-lvm:vm-101-disk-0)
  - mp0, /data (local-lvm:vm-101-disk-1)

Before you run it:
  - Guest 101 runs: stop it first, "pct stop 101".

Nothing was done. As root on this node, this restores it:
pct restore 101 ${volidOf(22)} --force --storage local-lvm
`,
  });
  expect(asked).toEqual([volidOf(22)]);
  expect(JSON.parse((await felhom('backup', 'restore', volidOf(22), '--json')).out)).toEqual(ADVICE);
});

test('backup restore of a damaged archive, where no guest of that number is left', async () => {
  services.archives.restoreAdvice = async () => ({
    ...ADVICE,
    type: 'qemu',
    overwrites: [],
    warnings: [],
    verification: 'failed',
    verification_error: 'It ends in the middle.',
    command: 'qmrestore a 101',
  });
  const { status, out } = await felhom('backup', 'restore', volidOf(22));
  expect(status).toBe(2);
  expect(out).toContain('verified   DAMAGED, 2026-11-22T09:00:00Z: It ends in the middle.');
  expect(out).toContain('There is no guest 101 now: nothing is overwritten.');
  expect(out.trimEnd().split('\n').at(-1)).toBe('qmrestore a 101');
});

test('every command has its exit statuses in its help', () => {
  const program = agentProgram({ out: () => undefined, err: () => undefined, exit: () => undefined });
  const leaves = program.commands.flatMap((one) => (one.commands.length > 0 ? one.commands : [one]));
  expect(leaves.length).toBeGreaterThan(15);
  for (const leaf of leaves) {
    const help: string[] = [];
    leaf.configureOutput({ writeOut: (text) => void help.push(text) }).outputHelp();
    expect(help.join(''), leaf.name()).toContain('Exit status:');
  }
});

test('every endpoint of the console that takes an archive refuses what is none', async () => {
  const { askAdmin } = await import('./admin-socket.ts');
  for (const [method, path, body] of [
    ['POST', '/backups/verify', { volid: '/etc/passwd' }],
    ['POST', '/backups/protect', { volid: 'a', on: true }],
    ['GET', '/backups/restore?volid=x', undefined],
    ['GET', '/backups?vmid=1', undefined],
    ['POST', '/backups/prune', { vmid: 101 }],
  ] as const)
    await expect(askAdmin(server.path, method, path, body)).rejects.toThrow(/request's/);
  expect(Value.Errors(Archives, page(101, [archive(1)]))).toEqual([]);
});
