import { expect, test } from 'vitest';
import { createSelfTest, type SelfTestPorts } from '#agent/disks/sources/self-test';
import { systemClock } from '#agent/ports/clock';
import { CommandError } from '#agent/ports/command';
import { fakeClock } from '../../fake-clock.ts';
import { fakeProc, fakeSysfs, kernelDevice, NEVER } from '../../fake-host.ts';

const SDA2 = { name: 'sda2', numbers: '8:2', sizeBytes: 1, startBytes: 1, holders: [] };
const DEVICES = [
  kernelDevice({ name: 'sda', numbers: '8:0', partitions: [SDA2] }),
  kernelDevice({ name: 'dm-1', numbers: '252:1', dm: { name: 'pve-root', uuid: 'LVM-1' } }),
  kernelDevice({ name: 'loop7', numbers: '7:7', backingFile: '/srv/drive.img' }),
];
const ROOT = '26 1 8:2 / / rw - ext4 /dev/sda2 rw\n';
const KERNEL = '27 26 0:5 / /sys rw - sysfs sysfs rw\n28 26 0:6 / /proc rw - proc proc rw\n';
const BACKUP = '29 26 8:17 / /mnt/usb rw - ext4 /dev/sdb1 rw\n';
const ALL = '000001ffffffffff';

type Over = Partial<Omit<SelfTestPorts, 'proc'>> & { proc?: Partial<SelfTestPorts['proc']> };
/** A host on which the agent sees everything; each test hides one thing. */
const setup = ({ proc, ...over }: Over = {}) => {
  const probed: string[] = [];
  const made = createSelfTest({
    clock: systemClock,
    run: async (_name, args) => {
      probed.push(args.at(-1) ?? '');
      return 'DEVNAME=x\nTYPE=ext4\n';
    },
    sysfs: { ...fakeSysfs(), kernelDevices: async () => DEVICES },
    udev: { read: async () => new Map([['sda', { properties: {}, links: [] }]]) },
    zpool: { pools: async () => [{ name: 'rpool', guid: '1', devices: ['/dev/nvme0n1p3'] }] },
    pid: 4711,
    loopDrives: [],
    ...over,
    proc: {
      ...fakeProc(() => 0),
      mountinfo: async () => ROOT + KERNEL + BACKUP,
      mountinfoOf: async () => ROOT + KERNEL + BACKUP,
      statusOf: async () => `Name:\tnode\nCapEff:\t${ALL}\n`,
      ...proc,
    },
  });
  return { test: made.run, probed };
};
const mounted = (host: string, own = host): Over => ({
  proc: { mountinfoOf: async () => host + KERNEL, mountinfo: async () => own + KERNEL },
});

test('where everything is seen there is nothing to say, and the drive below / was read', async () => {
  const { test: run, probed } = setup();
  expect(await run()).toBe('');
  expect(probed).toEqual(['/dev/sda2']);
});

const hidden = (code: string) => async () => {
  throw Object.assign(new Error(code), { code, path: '/proc/x' });
};

test.each<[string, Over, string]>([
  ['ProcSubset=pid', { proc: { swaps: hidden('ENOENT') } }, 'the swap space'],
  [
    'ProcSubset=pid, with md',
    { proc: { devices: async () => 'Character devices:\n\nBlock devices:\n  9 md\n', mdstat: hidden('ENOENT') } },
    'the software RAIDs',
  ],
  ['ProtectProc=invisible', { proc: { mountinfoOf: hidden('ENOENT') } }, "the host's first process"],
  ['no CAP_SYS_PTRACE', { proc: { openFilesOf: hidden('EACCES') } }, "the host's first process"],
  ['no open file of the first process', { proc: { openFilesOf: async () => [] } }, 'no file open'],
  ['PrivatePIDs=', { pid: 1 }, 'a process namespace of its own'],
  [
    'CapabilityBoundingSet= without one',
    { proc: { statusOf: async () => 'CapEff:\t000001fffff7ffff\n' } },
    'CAP_SYS_PTRACE is missing',
  ],
  [
    'CapabilityBoundingSet= without several',
    { proc: { statusOf: async () => 'CapEff:\t0000000000000000\n' } },
    'CAP_DAC_READ_SEARCH, CAP_SYS_RAWIO, CAP_SYS_PTRACE, CAP_SYS_ADMIN',
  ],
  ['capabilities that are not told', { proc: { statusOf: async () => null } }, 'its own capabilities'],
  ['InaccessiblePaths=/run/udev', { udev: { read: hidden('EACCES') } }, "udev's database"],
  ['a database that knows none of the drives', { udev: { read: async () => new Map() } }, 'it knows none of the drives'],
  ['PrivateDevices=, DevicePolicy=closed', { run: async () => '' }, '/dev/sda2 is in use and looks as if it carried nothing'],
  [
    'blkid that fails',
    {
      run: async () => {
        throw new CommandError('blkid', 'exit', '', 4);
      },
    },
    'the signatures of a drive (a program failed (exit))',
  ],
  ['a private view without the backup drive', mounted(ROOT + BACKUP, ROOT), '/mnt/usb is not among them'],
  ['a view in which something else is mounted there', mounted(ROOT + BACKUP, ROOT + BACKUP.replace('8:17', '8:33')), '/mnt/usb'],
  [
    'ProtectKernelTunables=',
    { proc: { mountinfo: async () => ROOT + BACKUP + KERNEL.replace('/sys rw', '/sys ro') } },
    '/sys is read-only there',
  ],
  ['an unknown device below /', mounted('26 1 8:99 / / rw - ext4 /dev/sdx9 rw\n'), 'does not know the device of /'],
])('%s: nothing is done to drives, and it is said why', async (_what, over, why) => {
  const said = await setup(over).test();
  expect(said).toMatch(/^The agent cannot see .*; so it does nothing to drives\.$/);
  expect(said).toContain(why);
});

test('what hangs is missing after three seconds', async () => {
  const { clock, advance } = fakeClock();
  const said = setup({ clock, udev: { read: () => NEVER } }).test();
  await advance(3_000);
  expect(await said).toContain("udev's database (no answer within 3 seconds)");
});

test.each<[string, string, string[]]>([
  ['LVM', '26 1 252:1 / / rw - ext4 /dev/mapper/pve-root rw\n', ['/dev/dm-1']],
  ['btrfs, whose numbers are its own', '26 1 0:30 / / rw - btrfs /dev/sda2 rw\n', ['/dev/sda2']],
  ['btrfs on LVM', '26 1 0:30 / / rw - btrfs /dev/mapper/pve-root rw\n', ['/dev/dm-1']],
  ['ZFS', '26 1 0:30 / / rw - zfs rpool/ROOT/pve-1 rw\n', ['/dev/nvme0n1p3']],
  ['an overlay, beside a drive', `26 1 0:30 / / rw - overlay overlay rw\n${BACKUP.replace('8:17', '8:2')}`, ['/dev/sda2']],
  ['nothing but memory', '26 1 0:30 / / rw - tmpfs tmpfs rw\n', []],
])('the drive below / on %s', async (_what, mounts, probes) => {
  const { test: run, probed } = setup(mounted(mounts));
  expect(await run()).toBe('');
  expect(probed).toEqual(probes);
});

test('what ProtectHome= hides is not missed, nor a mount that goes while it is looked at', async () => {
  expect(await setup(mounted(`${ROOT}30 26 8:3 / /home rw - ext4 /dev/sda3 rw\n`, ROOT)).test()).toBe('');
  let reads = 0;
  const passing = {
    mountinfoOf: async () => {
      reads += 1;
      return reads <= 2 ? ROOT + KERNEL + BACKUP : ROOT + KERNEL;
    },
  };
  expect(await setup({ proc: { ...passing, mountinfo: async () => ROOT + KERNEL } }).test()).toBe('');
});

test('where loop devices stand for drives, one of them is read, and the machine below is left alone', async () => {
  const known = (properties: Record<string, string>) => ({ read: async () => new Map([['loop7', { properties, links: [] }]]) });
  const over: Over = { loopDrives: ['/srv/drive.img'], proc: { openFilesOf: hidden('EACCES') } };
  const one = setup({ ...over, udev: known({ ID_FS_TYPE: 'ext4' }) });
  expect(await one.test()).toBe('');
  expect(one.probed).toEqual(['/dev/loop7']);
  expect(await setup({ ...over, udev: known({ ID_PART_TABLE_TYPE: 'gpt' }), run: async () => '' }).test()).toContain(
    '/dev/loop7',
  );
  const blank = setup({ ...over, udev: known({ ID_MODEL: 'x' }) });
  expect(await blank.test()).toBe('');
  expect(blank.probed).toEqual([]);
});
