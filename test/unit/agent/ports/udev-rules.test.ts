import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { MountSpec } from '#agent/ports/drive-mounts';
import { udevRules } from '#agent/ports/udev-rules';

const SPEC: MountSpec = {
  mountPoint: '/mnt/felhom/photos',
  guestPoint: '/mnt/felhom/.guests/101/photos',
  link: 'photos.0123456789ab',
  uuid: '2b5e8d0c-7a37-4c0e-9c0f-0c3b1b6a2f11',
  fstype: 'ext4',
  options: 'nosuid,nodev',
  match: { serial: 'WD-WX12', wwn: '0x50014ee2b5f1a2c3', sizeBytes: 64 * 1024 ** 2 },
};

test('a link needs the UUID, the drive’s own names and its size, on a drive that is no guest’s virtual disk', () => {
  expect(udevRules([SPEC])).toBe(`# felhom-agent writes this file from its assignments. What is changed here is lost.
SUBSYSTEM!="block", GOTO="felhom_end"
ACTION=="remove", GOTO="felhom_end"
KERNEL!="sd*|nvme*|mmcblk*", GOTO="felhom_end"
ENV{ID_FS_UUID}=="2b5e8d0c-7a37-4c0e-9c0f-0c3b1b6a2f11", ENV{ID_SERIAL}=="WD-WX12", ENV{ID_WWN}=="0x50014ee2b5f1a2c3", ATTRS{size}=="131072", SYMLINK+="felhom/photos.0123456789ab"
LABEL="felhom_end"
`);
});

test('what a drive does not have is not asked for', () => {
  const rules = udevRules([{ ...SPEC, match: { serial: '', wwn: '', sizeBytes: null } }]);
  expect(rules).toContain('\nENV{ID_FS_UUID}=="2b5e8d0c-7a37-4c0e-9c0f-0c3b1b6a2f11", SYMLINK+="felhom/photos.0123456789ab"\n');
});

test('a serial can neither end its value nor match another by a pattern of its own', () => {
  const lines = udevRules([SPEC]).split('\n').length;
  fc.assert(
    fc.property(fc.string({ unit: 'binary', minLength: 1 }), (serial) => {
      const rules = udevRules([{ ...SPEC, match: { ...SPEC.match, serial, wwn: serial } }]);
      expect(rules.split('\n')).toHaveLength(lines);
      expect(/ENV\{ID_SERIAL\}=="([^"]*)", ENV\{ID_WWN\}=="([^"]*)", ATTRS/.exec(rules)?.[1]).toMatch(/^[A-Za-z0-9.:?-]+$/);
    }),
    { numRuns: 300 },
  );
});

test.each(['', 'a b', '../x', 'a"', 'a\nb', 'A'])('a link named %j is refused', (link) => {
  expect(() => udevRules([{ ...SPEC, link }])).toThrow('not fit for a link');
});
