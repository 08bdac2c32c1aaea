import { expect, test } from 'vitest';
import { opLines, trustNotes } from '#agent/cli/op-lines';
import type { AdminOp, Trust } from '#shared/wire/admin-ops';

const COMMAND =
  'felhom-opsign -op storage_wipe -host pve1-k3v7q2m5xw8r4t6y9zbc -durable-id byid:backup.WD.WX11A.2000.0123456789abcdefghjkmnpqrs';

const shown = (op: Partial<AdminOp['op']> = {}, more: Partial<AdminOp> = {}): AdminOp => ({
  op: {
    ...{
      id: 'op-59yn30mqs7re',
      op: 'storage_wipe',
      vmid: 101,
      host_scope: 'pve1',
      durable_id: 'byid:x',
      fstype: 'ext4',
      device: 'sdb',
    },
    ...{ role: 'backup', model: 'WD', serial: 'WX11A', size_bytes: 2_000_398_934_016, state: 'open', reason: '', job_id: '' },
    ...{ created_at: '2026-11-22T14:00:00.000Z', expires_at: '2026-11-23T14:00:00.000Z', sign_command: COMMAND },
    ...op,
  },
  ...{ in_use: [], prepared: [], granted_by: '', job: null },
  ...more,
});

test('one that waits: what is erased, for whom, and the command alone on its line', () => {
  const lines = opLines(shown());
  expect(lines).toContain('erases      sdb: WD, serial WX11A, 2.0 TB');
  expect(lines).toContain('makes       one ext4 file system over the whole drive, for guest 101, which asked for it');
  expect(lines).toContain('in use by   nobody');
  expect(lines).toContain(`  ${COMMAND}`);
  expect(lines.join('\n')).not.toContain('ops prepare');
});

test('one in use: a backup drive is prepared by a command, a system drive by people', () => {
  const more = { in_use: ['It is mounted at /mnt/usb.', 'A line of /etc/fstab mounts it.'] };
  expect(opLines(shown({}, more))).toEqual(
    expect.arrayContaining(['            A line of /etc/fstab mounts it.', '  felhom-agent ops prepare op-59yn30mqs7re']),
  );
  const system = opLines(shown({ role: 'system' }, more)).join('\n');
  expect(system).toContain('each of these uses has to be ended by hand');
  expect(system).not.toContain('ops prepare');
});

test('one that is over says why, and how what was prepared is put back', () => {
  const lines = opLines(
    shown(
      { state: 'expired', reason: 'Nobody signed it in time.', sign_command: '' },
      { prepared: ['The storage "usb" is disabled.'] },
    ),
  );
  expect(lines).toEqual(
    expect.arrayContaining(['Nobody signed it in time.', '  felhom-agent ops prepare op-59yn30mqs7re --undo']),
  );
  expect(lines.join('\n')).not.toContain('felhom-opsign');
});

test.each([
  ['before anything was written', 'holding', true],
  ['after that', 'wiping', false],
])('a signed one whose format failed %s', async (_when, phase, isPutBack) => {
  const job: AdminOp['job'] = {
    ...{ job_id: 'fmt-1', type: 'format', vmid: 101, device: 'sdb', model: 'WD', serial: 'WX11A', size_bytes: 1, fstype: 'ext4' },
    ...{ state: 'failed', phase, permitted_by: 'granted', op_id: 'op-59yn30mqs7re', started_at: '2026-11-22T14:00:00.000Z' },
    ...{ finished_at: null, durable_id: '', error: 'It failed.' },
  };
  const lines = opLines(shown({ state: 'granted', job_id: 'fmt-1' }, { job, prepared: ['The storage "usb" is disabled.'] }));
  expect(lines.includes('  felhom-agent ops prepare op-59yn30mqs7re --undo')).toBe(isPutBack);
});

test('nothing that anybody called itself moves a cursor', () => {
  const evil = '\u001b[2J\u202e';
  const lines = opLines(
    shown({ model: evil, serial: evil, device: evil, reason: evil }, { in_use: [evil], prepared: [evil], granted_by: evil }),
  );
  expect(lines.join('')).not.toMatch(/\p{C}/u);
});

test('what keeps signatures from being accepted is said', () => {
  const trust = (facts: Partial<Trust>): Trust => ({
    ...{ grants_off: '', database_count: 0, file_count: 0, clock_mark: null, clock_now: '2026-11-22T14:00:00.000Z' },
    ...{ keys: [{ kid: 'k', name: 'bela', state: 'active' }], keys_problem: '' },
    ...facts,
  });
  expect(trustNotes(trust({}))).toEqual([]);
  expect(trustNotes(trust({ grants_off: 'It was lost.' }))).toEqual(['No signature is accepted now: It was lost.']);
  expect(trustNotes(trust({ keys: [], keys_problem: 'Line 3.' }))).toEqual(['No key may sign: Line 3.']);
  expect(trustNotes(trust({ keys: [{ kid: 'k', name: 'bela', state: 'retired' }] }))).toEqual([
    expect.stringContaining('none that is active'),
  ]);
});
