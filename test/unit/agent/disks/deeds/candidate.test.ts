import { expect, test } from 'vitest';
import { findCandidate, requireUsable } from '#agent/disks/deeds/candidate';
import { UUID, userDrive } from '../deeds-host.ts';
import { because, madeFilesystem, madeInventory } from '../made.ts';

const find = (...drives: ReturnType<typeof userDrive>[]) => findCandidate(madeInventory({ drives }), UUID.toUpperCase(), 101);

test('the one drive that carries it is found, however its UUID is written', () => {
  expect(find(userDrive(), userDrive({ name: 'sdc' }, 'aaaa-bbbb')).drive.name).toBe('sdb');
});

test('a drive of the host is refused with its weightiest reason', () => {
  const drive = userDrive({
    role: 'system',
    reasons: [because('system', 'The host runs from it.'), because('backup', 'Backups.')],
  });
  expect(() => find(drive)).toThrow('This drive cannot be connected. The host runs from it. Nothing was changed.');
});

test('which guest has a drive is told to no other', () => {
  const holder = { kind: 'guest', sentence: 'It is given to guest 105 (scsi1).', vmid: 105, pid: null } as const;
  const drive = userDrive({ role: 'system', reasons: [because('system', holder.sentence)], holders: [holder] });
  expect(() => find(drive)).toThrow('It is given to another guest.');
  expect(() => findCandidate(madeInventory({ drives: [drive] }), UUID, 105)).toThrow('It is given to guest 105 (scsi1).');
});

test.each([
  ['two drives', [userDrive(), userDrive({ name: 'sdc' })], 'sdb cannot be told from sdc'],
  ['a twin that does not show it', [userDrive({ twins: ['sdd'] })], 'sdb cannot be told from sdd'],
  [
    'two partitions of one drive',
    [
      userDrive({
        filesystems: [madeFilesystem({ uuid: UUID }), madeFilesystem({ uuid: UUID, device: 'sdb2', numbers: '8:18' })],
      }),
    ],
    'sdb cannot be told from sdb',
  ],
])('%s are ambiguous', (_what, drives, sentence) => {
  expect(() => find(...drives)).toThrow(
    expect.objectContaining({ code: 'drive-ambiguous', message: expect.stringContaining(sentence) }),
  );
});

test('what a guest can make carries no weight', () => {
  expect(find(userDrive(), userDrive({ name: 'sdc', role: 'system' })).drive.name).toBe('sdb');
});

test.each([
  ['ext4', ['ext4', 'xfs'], 'ext4'],
  ['xfs', ['ext4', 'xfs'], 'not what was asked for'],
  ['ext4', ['xfs'], 'It mounts xfs.'],
] as const)('%s where %s are mounted', (fstype, allowed, outcome) => {
  const usable = () => requireUsable(find(userDrive()), fstype, allowed);
  if (outcome === fstype) expect(usable()).toBe(fstype);
  else expect(usable).toThrow(outcome);
});
