/** The line that restores, and what it says of the guest that is there. */
import { expect, test } from 'vitest';
import { type RestoreFacts, restoreLines } from '#agent/archives/restore';
import type { GuestResource } from '#agent/ports/proxmox';
import { storageConfig } from '../fake-host.ts';

const CT = 'bak:backup/vzdump-lxc-101-2026_11_21-12_00_00.tar.zst';
const VM = 'bak:backup/vzdump-qemu-101-2026_11_21-12_00_00.vma.zst';
const guest = (facts: Partial<GuestResource> = {}): GuestResource => ({
  ...{ vmid: 101, type: 'lxc', node: 'pve1', name: 'x', status: 'stopped', lock: '', usedBytes: null, diskBytes: null },
  ...facts,
});

const facts = (more: Partial<RestoreFacts>): RestoreFacts => ({
  volid: CT,
  vmid: 101,
  type: 'lxc',
  node: 'pve1',
  guest: guest(),
  config: { rootfs: 'fast:101/root,size=8G' },
  storages: [],
  freeVmid: 103,
  ...more,
});

test('a container whose volumes lie on one storage goes back there', () => {
  const config = { rootfs: 'fast:101/root,size=8G', mp0: 'fast:101/data,mp=/data,backup=1,size=100G', unprivileged: '1' };
  expect(restoreLines(facts({ config })).command).toBe(`pct restore 101 ${CT} --storage fast --unprivileged 1 --force 1`);
});

test('volumes on several storages are named one by one, and binds with them', () => {
  const config = {
    rootfs: 'fast:101/root,size=512M',
    mp0: 'slow:101/data,mp=/data,backup=1,size=1T',
    mp1: '/tank/media,mp=/media',
    mp2: 'slow:101/x,mp=/a b,mountoptions=discard;noatime,size=4G',
    mp3: '/dev/sdb1,mp=/drive',
  };
  const lines = restoreLines(facts({ config }));
  expect(lines.command).toBe(
    `pct restore 101 ${CT} --rootfs fast:0.5 --mp0 slow:1024,mp=/data,backup=1 --mp1 /tank/media,mp=/media ` +
      `--mp2 'slow:4,mp=/a b,mountoptions=discard;noatime' --mp3 /dev/sdb1,mp=/drive --force 1`,
  );
  expect(lines.overwrites).toEqual([
    'rootfs (/) on fast is destroyed and made anew from the archive.',
    'mp0 (/data) on slow is destroyed and made anew from the archive.',
    'mp1 (/media) on /tank/media is not in the archive and stays as it is.',
    'mp2 (/a b) on slow is not in the archive: it is DESTROYED and made anew, EMPTY.',
    'mp3 (/drive) on /dev/sdb1 is not in the archive and stays as it is.',
  ]);
});

test('a configuration written by hand names its volume anywhere', () => {
  const config = { rootfs: 'fast:101/root,size=1G', mp0: 'mp=/data,backup=1,volume=slow:101/data,size=2G' };
  expect(restoreLines(facts({ config })).command).toContain('--mp0 slow:2,mp=/data,backup=1 ');
});

test("a container's unused volumes go with it", () => {
  const config = { rootfs: 'fast:101/root,size=8G', unused0: 'fast:101/old' };
  expect(restoreLines(facts({ config })).overwrites).toContain('unused0 (fast:101/old) is not in the archive: it is DESTROYED.');
});

test('where a size is not known all volumes go to one storage, and that is said', () => {
  const config = { rootfs: 'fast:101/root', mp0: 'slow:101/data,mp=/data,backup=1,size=1T' };
  const { command, warnings } = restoreLines(facts({ config }));
  expect(command).toBe(`pct restore 101 ${CT} --storage fast --force 1`);
  expect(warnings).toContain('The sizes of some volumes are not known: all of them are made anew on one storage.');
});

test.each<[string, string[], string, number]>([
  ['the only storage that can hold it', ['local:iso,backup', 'fast:rootdir,images'], ` --storage fast`, 0],
  ['the first of several, which are told', ['zfs:rootdir', 'fast:images,rootdir'], ` --storage fast`, 1],
  ['no storage that is known', ['local:iso'], '', 0],
])('a container that is gone goes to %s', (_what, storages, option, warnings) => {
  const lines = restoreLines(
    facts({
      guest: null,
      config: null,
      storages: storages.map((one) => storageConfig({ storage: one.split(':')[0] ?? '', content: one.split(':')[1] ?? '' })),
    }),
  );
  expect(lines).toMatchObject({ command: `pct restore 101 ${CT}${option}`, overwrites: [] });
  expect(lines.warnings).toHaveLength(warnings);
});

test("a virtual machine's disks go back to where they were; what is not in the archive is kept", () => {
  const config = {
    scsi0: 'fast:101/a.raw,size=8G',
    scsi1: 'fast:101/b.raw,backup=0,size=1G',
    scsi2: '/dev/disk/by-id/ata-A,size=1T',
    scsi3: '/dev/disk/by-id/ata-B,backup=0,size=1T',
    ide2: 'none,media=cdrom',
    virtiofs0: 'media',
  };
  const lines = restoreLines(facts({ volid: VM, type: 'qemu', guest: guest({ type: 'qemu' }), config }));
  expect(lines.command).toBe(`qmrestore ${VM} 101 --force 1`);
  expect(lines.overwrites).toEqual([
    'scsi0 on fast is destroyed and made anew from the archive.',
    'scsi1 on fast is not in the archive: it is kept, but as an unused disk that has to be attached again.',
    'scsi2 on /dev/disk/by-id/ata-A stays as it is: what the archive holds of it becomes a new disk, which needs as much room on a storage.',
    'scsi3 on /dev/disk/by-id/ata-B is not in the archive and stays as it is.',
    'virtiofs0 on the host is not in the archive and stays as it is.',
  ]);
  expect(lines.warnings).toEqual([expect.stringContaining(`"qmrestore ${VM} 103 --unique 1"`)]);
  expect(restoreLines(facts({ volid: VM, type: 'qemu', guest: null, config: null })).command).toBe(`qmrestore ${VM} 101`);
});

test.each<[string, Partial<GuestResource>, Record<string, string>, string]>([
  ['runs', { status: 'running' }, {}, 'The guest runs: first "pct shutdown 101".'],
  ['is locked', { lock: 'backup' }, {}, 'The guest is locked (backup): see that no task of it runs, then "pct unlock 101".'],
  ['is protected', {}, { protection: '1' }, 'The guest is protected against deletion: first "pct set 101 --protection 0".'],
  ['has snapshots', {}, { parent: 'before' }, 'The guest has snapshots: they are lost with the volumes.'],
  ['is elsewhere', { node: 'pve2' }, {}, 'Guest 101 is on node pve2'],
  ['is another', { type: 'qemu' }, {}, 'Number 101 belongs to a guest of another kind now'],
])('a guest that %s needs something done first', (_what, resource, config, sentence) => {
  const lines = restoreLines(facts({ guest: guest(resource), config: { rootfs: 'fast:101/root,size=8G', ...config } }));
  expect(lines.warnings[0]).toContain(sentence);
});
