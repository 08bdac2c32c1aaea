/** vzdump's logs as facts: every recorded log, every row of the table of consistency points, cut short and reworded. */
import { describe, expect, test } from 'vitest';
import { labelOf } from '#agent/backups/label';
import { type LogFacts, type Mode, NOTHING_READ, readLine, readLog } from '#agent/backups/log';
import { outcomeOf } from '#agent/backups/outcome';
import { failureSentence } from '#agent/backups/sentences';
import type { Label } from '#shared/label';
import { LOG_NAMES, logLines } from './logs.ts';

interface Expected {
  mode: Mode | null;
  /** The line of the consistency point; null: there is none. */
  point: string | null;
  label: Label;
  /** Empty: done. */
  error: string;
  archive?: string;
  frozenSeconds?: number | null;
  volumes?: number;
}

const STARTED = "INFO: started backup task '5f2c9f0e-6a51-4a3b-a9d0-0d2f7f4ce001'";
const creating = (guest: string, vmid: number, at: string) =>
  `INFO: creating vzdump archive '/srv/bak/dump/vzdump-${guest}-${vmid}-2026_11_21-${at}.tar.zst'`;
const BUSY = 'Another backup is running on this host, so this one was not started.';

/** The exit status is the last line's, as the task's parser reads it (PVE/UPID.pm). */
const CASES: Record<string, Expected> = {
  'lxc-snapshot-btrfs': {
    mode: 'snapshot',
    point: creating('lxc', 201, '23_15_01'),
    label: 'filesystem',
    error: '',
    archive: 'vzdump-lxc-201-2026_11_21-23_15_01.tar.zst',
    frozenSeconds: null,
    volumes: 1,
  },
  'lxc-snapshot-btrfs-two-volumes-and-a-bind-mount': {
    mode: 'snapshot',
    point: 'INFO: resume vm',
    label: 'filesystem',
    error: '',
    frozenSeconds: 1,
    volumes: 2,
  },
  'lxc-snapshot-keep-all-with-note': {
    mode: 'snapshot',
    point: 'INFO: resume vm',
    label: 'filesystem',
    error: '',
    frozenSeconds: 0,
  },
  'lxc-snapshot-lvmthin-warnings': {
    mode: 'snapshot',
    point: creating('lxc', 201, '23_30_00'),
    label: 'filesystem',
    error: '',
    volumes: 1,
  },
  'lxc-snapshot-falls-back-to-suspend-dir': {
    mode: 'suspend',
    point: 'INFO: final sync finished - transferred 0 bytes in 0s',
    label: 'crash',
    error: '',
    frozenSeconds: 0,
    volumes: 1,
  },
  'lxc-suspend': {
    mode: 'suspend',
    point: 'INFO: final sync finished - transferred 0 bytes in 0s',
    label: 'crash',
    error: '',
    frozenSeconds: 3,
  },
  'lxc-stop': { mode: 'stop', point: creating('lxc', 201, '23_30_00'), label: 'stopped', error: '', frozenSeconds: 9 },
  'lxc-stopped': { mode: 'stop', point: creating('lxc', 101, '23_22_43'), label: 'stopped', error: '', frozenSeconds: null },

  'qemu-snapshot-agent': { mode: 'snapshot', point: STARTED, label: 'filesystem', error: '', frozenSeconds: null, volumes: 1 },
  'qemu-snapshot-agent-old-wording': { mode: 'snapshot', point: STARTED, label: 'filesystem', error: '' },
  'qemu-snapshot-pbs-fleecing': {
    mode: 'snapshot',
    point: STARTED,
    label: 'filesystem',
    error: '',
    archive: 'vm/104/2026-11-21T22:30:00Z',
  },
  'qemu-snapshot-provider': { mode: 'snapshot', point: 'INFO: resuming VM again', label: 'filesystem', error: '' },
  'qemu-snapshot-no-agent': { mode: 'snapshot', point: STARTED, label: 'crash', error: '' },
  'qemu-snapshot-agent-silent': { mode: 'snapshot', point: STARTED, label: 'crash', error: '' },
  // Somebody froze it before: nobody knows whether it stayed so.
  'qemu-snapshot-already-frozen': { mode: 'snapshot', point: STARTED, label: 'crash', error: '' },
  'qemu-snapshot-freeze-fails': { mode: 'snapshot', point: STARTED, label: 'crash', error: '' },
  'qemu-snapshot-diskless': { mode: 'snapshot', point: 'INFO: starting diskless backup', label: 'crash', error: '', volumes: 0 },
  'qemu-suspend': { mode: 'suspend', point: STARTED, label: 'crash', error: '', frozenSeconds: 4 },
  'qemu-stop': { mode: 'stop', point: STARTED, label: 'stopped', error: '', frozenSeconds: 23 },
  'qemu-stopped': { mode: 'stop', point: STARTED, label: 'stopped', error: '' },

  // The thaw line stands there although the backup was never begun.
  'qemu-snapshot-fails-qmp': {
    mode: 'snapshot',
    point: null,
    label: 'crash',
    error: "The backup failed on the host; the host's journal says why.",
  },
  'qemu-fails-interrupted': {
    mode: 'snapshot',
    point: STARTED,
    label: 'filesystem',
    error: 'The backup was interrupted on the host.',
  },
  'fails-guest-locked': {
    mode: null,
    point: null,
    label: 'crash',
    error: 'Proxmox has locked this guest: another operation on it is running, or one was interrupted.',
  },
  'fails-lockwait-0': { mode: null, point: null, label: 'crash', error: BUSY },
  'fails-no-such-guest': { mode: null, point: null, label: 'crash', error: 'This guest is not on this host.' },
  'fails-wrong-content': { mode: null, point: null, label: 'crash', error: 'The backup storage is not set up to hold backups.' },
};

/** PVE/UPID.pm, pve_upid_status */
const exitstatusOf = (last: string): string => {
  const [, word, rest] = /^TASK (OK|WARNINGS|ERROR)(?:: (.*))?$/.exec(last) ?? [];
  if (word === undefined) return 'unexpected status';
  return word === 'ERROR' ? (rest ?? '') : word === 'OK' ? 'OK' : `WARNINGS: ${rest}`;
};

const errorOf = (lines: string[]): string => {
  const facts = readLog(lines);
  const outcome = outcomeOf(exitstatusOf(lines.at(-1) ?? ''), facts.lastLine);
  return outcome.ok ? '' : failureSentence(facts, outcome.exitstatus);
};

test('every fixture is a case', () => expect(Object.keys(CASES).sort()).toEqual([...LOG_NAMES].sort()));

describe.each(Object.entries(CASES))('%s', (name, expected) => {
  const lines = logLines(name);
  const full = readLog(lines);

  test('mode, consistency point, label, outcome', () => {
    expect(full.mode).toBe(expected.mode);
    expect(full.pointLine === null ? null : lines[full.pointLine]).toBe(expected.point);
    expect(labelOf(full)).toBe(expected.label);
    expect(errorOf(lines)).toBe(expected.error);
    for (const key of ['archive', 'frozenSeconds', 'volumes'] as const)
      if (key in expected) expect(full[key]).toBe(expected[key]);
  });

  test('cut short anywhere it claims nothing early and nothing more', () => {
    let facts: LogFacts = NOTHING_READ;
    lines.forEach((line, index) => {
      facts = readLine(facts, line);
      const reached = full.pointLine !== null && index >= full.pointLine;
      expect(facts.pointLine).toBe(reached ? full.pointLine : null);
      expect(labelOf(facts)).toBe(reached ? expected.label : 'crash');
    });
  });

  test('any one line reworded or left out never makes it better', () => {
    const allowed = new Set<Label>(['crash', expected.label]);
    lines.forEach((line, index) => {
      // An error that is not there is another story.
      if (line.startsWith('ERROR: ')) return;
      for (const replacement of [[`INFO: entirely new wording ${index}`], ['no prefix at all'], [line.slice(0, -1)], []]) {
        const facts = readLog([...lines.slice(0, index), ...replacement, ...lines.slice(index + 1)]);
        expect(allowed).toContain(labelOf(facts));
        // A point may be missed, never seen before the real one.
        const shift = replacement.length - 1;
        if (facts.pointLine !== null)
          expect(facts.pointLine).toBeGreaterThanOrEqual((full.pointLine ?? 1e9) + Math.min(0, shift));
      }
    });
  });
});

test('wording that nobody knows yields no point and `crash`', () => {
  const lines = ['INFO: Starting Backup of VM 201 (lxc)', 'INFO: status = running', 'INFO: saved all of it, trust me', 'TASK OK'];
  expect(labelOf(readLog(lines))).toBe('crash');
  expect(readLog(lines).pointLine).toBeNull();
});

test("a freeze that something interrupts does not hold, even after the agent's thaw", () => {
  const lines = logLines('qemu-snapshot-agent');
  const thaw = lines.indexOf("INFO: issuing guest-agent 'fs-thaw' command");
  expect(labelOf(readLog(lines.toSpliced(thaw + 1, 0, 'ERROR: thaw failed: the filesystems were not frozen')))).toBe('crash');
  expect(labelOf(readLog(lines.toSpliced(thaw, 0, 'guest-fsfreeze-freeze takes long - waiting')))).toBe('crash');
});

test('a freeze that failed is not made good by a second one', () => {
  const lines = logLines('qemu-snapshot-agent');
  const freeze = "INFO: issuing guest-agent 'fs-freeze' command";
  const at = lines.indexOf(freeze);
  expect(labelOf(readLog(lines.toSpliced(at + 1, 0, 'ERROR: got timeout', freeze)))).toBe('crash');
});

test.each([
  [
    'qemu-snapshot-provider',
    "INFO: issuing guest-agent 'fs-thaw' command",
    "ERROR: VM 104 qmp command 'backup-access-setup' failed",
  ],
  [
    'lxc-snapshot-btrfs-two-volumes-and-a-bind-mount',
    "INFO: create storage snapshot 'vzdump'",
    'ERROR: Backup of VM 201 failed - no space',
  ],
  ['qemu-snapshot-agent', 'INFO: starting backup via QMP command', 'ERROR: Backup of VM 104 failed - got timeout'],
])('%s: what is written after it was given up is no point', (name, after, error) => {
  const lines = logLines(name);
  expect(readLog(lines.toSpliced(lines.indexOf(after) + 1, 0, error)).pointLine).toBeNull();
});

test('a line of a container snapshot that nobody knows takes the proof away', () => {
  const lines = logLines('lxc-snapshot-btrfs');
  const create = lines.indexOf("INFO: create storage snapshot 'vzdump'");
  expect(labelOf(readLog(lines.toSpliced(create + 1, 0, 'freezing failed, going on')))).toBe('crash');
  expect(labelOf(readLog(lines.toSpliced(create + 1, 0, 'WARN: sync failed')))).toBe('crash');
});

/** A hook script's output stands in the log as lines of the same form, before a guest's backup and in the middle of it. */
const HOOK_SAYS = [
  "INFO: started backup task 'of my own'",
  "INFO: creating borg archive 'nightly'",
  'INFO: starting diskless backup',
  'INFO: backup mode: stop',
  'INFO: backup mode: snapshot',
  'INFO: status = stopped',
  'INFO: status = running',
  'INFO: resume vm',
  'INFO: final sync finished',
  "INFO: issuing guest-agent 'fs-freeze' command",
  "INFO: create storage snapshot 'mine'",
];

test.each(LOG_NAMES.filter((name) => !name.startsWith('fails-')))('%s: a line of a hook script proves nothing', (name) => {
  const lines = logLines(name);
  const full = readLog(lines);
  const phases = {
    'job-start': lines.findIndex((line) => line.startsWith('INFO: Starting Backup of VM ')),
    'backup-start': lines.indexOf('INFO: ionice priority: 7') + 1,
  };
  for (const [phase, at] of Object.entries(phases))
    for (const said of HOOK_SAYS) {
      const facts = readLog(lines.toSpliced(at, 0, said));
      expect(['crash', labelOf(full)], `${phase}: ${said}`).toContain(labelOf(facts));
      // Of a container that does not run any line is late enough.
      const still = full.guest === 'lxc' && full.running === false;
      if (facts.pointLine !== null && !still) expect(facts.pointLine, `${phase}: ${said}`).toBeGreaterThan(full.pointLine ?? 1e9);
    }
});

test('progress and the time left come from percentages only', () => {
  const lines = logLines('qemu-snapshot-agent');
  const at = lines.findIndex((line) => line.includes(' 25% '));
  expect(readLog(lines.slice(0, at + 1))).toMatchObject({ progress: 0.25, etaSeconds: 60 });
  expect(readLog(logLines('lxc-snapshot-btrfs'))).toMatchObject({ progress: null, etaSeconds: null });
});

test('the frozen period is marked', () => {
  const lines = logLines('lxc-snapshot-btrfs-two-volumes-and-a-bind-mount');
  const facts = readLog(lines);
  expect(lines[facts.frozenFromLine ?? -1]).toBe('INFO: suspend vm to make snapshot');
  expect(lines[facts.frozenToLine ?? -1]).toBe('INFO: resume vm');
});
