/** Files, links and programs of systemd and udev, in a directory of the test's own. With a real systemd: test/system/drives/systemd-mounts.test.ts. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { RunCommand } from '#agent/ports/command';
import type { MountSpec } from '#agent/ports/drive-mounts';
import { createSystemdMounts } from '#agent/ports/systemd-mounts';

const SPEC: MountSpec = {
  mountPoint: '/mnt/felhom/photos',
  guestPoint: '/mnt/felhom/.guests/101/photos',
  link: 'photos.0123456789ab',
  uuid: 'abcd-ef01',
  fstype: 'exfat',
  options: 'nosuid,nodev',
  match: { serial: 'S1', wwn: '', sizeBytes: 1024 },
};
const MUSIC: MountSpec = { ...SPEC, mountPoint: '/mnt/felhom/music', link: 'music.0123456789ab', uuid: 'abcd-ef02' };

let root: string;
let done: string[];
let mountinfo: string;
/** What udev makes of our rules when it looks at a device anew. */
let trigger: (device: string) => void;

const run: RunCommand = async (name, args) => {
  done.push([name, ...args].join(' '));
  const [, device] = /--name-match=(\S+)/.exec(args.join(' ')) ?? [];
  if (device !== undefined) trigger(device);
  return '';
};
const port = (specs: readonly MountSpec[] = [SPEC]) =>
  createSystemdMounts({ run, root, specs: () => specs, proc: { mountinfoOf: async () => mountinfo } });

const rules = (): string => readFileSync(join(root, 'etc/udev/rules.d/61-felhom.rules'), 'utf8');
const link = (): string => join(root, 'dev/felhom', SPEC.link);
const linkTo = (target: string): void => {
  rmSync(link(), { force: true });
  symlinkSync(target, link());
};

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'felhom-systemd-'));
  for (const path of ['etc/systemd/system', 'etc/udev/rules.d', 'run/udev', 'dev/felhom'])
    mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(root, 'run/udev/control'), '');
  done = [];
  mountinfo = '';
  trigger = () => undefined;
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('with udev', () => {
  test('units are wanted by their device, rules are read again, and nothing is done twice', async () => {
    const before = process.umask(0o077);
    await port().keep(SPEC);
    process.umask(before);
    const units = join(root, 'etc/systemd/system');
    expect(statSync(join(units, 'mnt-felhom-photos.mount')).mode & 0o777).toBe(0o644);
    const wants = join(units, 'dev-felhom-photos.0123456789ab.device.wants');
    expect(statSync(wants).mode & 0o777).toBe(0o755);
    expect(readlinkSync(join(wants, 'mnt-felhom-photos.mount'))).toBe('../mnt-felhom-photos.mount');
    expect(existsSync(join(units, 'mnt-felhom-photos.mount.wants/mnt-felhom-.guests-101-photos.mount'))).toBe(true);
    expect(rules()).toContain('SYMLINK+="felhom/photos.0123456789ab"');
    expect(done).toEqual(['systemctl daemon-reload', 'udevadm control --reload']);
    await port().keep(SPEC);
    expect(done).toHaveLength(2);
  });

  test('the rules are always those of all assignments', async () => {
    await port([SPEC, MUSIC]).keep(SPEC);
    expect(rules()).toContain('photos.0123456789ab');
    expect(rules()).toContain('music.0123456789ab');
    await port([SPEC, MUSIC]).drop(SPEC);
    expect(rules()).not.toContain('photos.0123456789ab');
    expect(rules()).toContain('music.0123456789ab');
  });

  test('udev makes the link; where it does not lead to the drive, nothing is mounted', async () => {
    await expect(port().mount(SPEC, '/dev/sdb1')).rejects.toThrow('leads to nothing, not to /dev/sdb1');
    trigger = () => linkTo('../dm-4');
    await expect(port().mount(SPEC, '/dev/sdb1')).rejects.toThrow('leads to /dev/dm-4, not to /dev/sdb1');
    expect(done.filter((one) => one.startsWith('systemctl'))).toEqual([]);
    trigger = (device) => linkTo(`..${device.slice(4)}`);
    await port().mount(SPEC, '/dev/sdb1');
    expect(done.slice(-2)).toEqual([
      'udevadm trigger --action=change --settle --name-match=/dev/sdb1',
      'systemctl start -- mnt-felhom-photos.mount',
    ]);
    done = [];
    await port().mount(SPEC, '/dev/sdb1');
    expect(done).toEqual(['systemctl start -- mnt-felhom-photos.mount']);
  });

  test('what is dropped leaves no unit, rule or link', async () => {
    linkTo('../sdb1');
    await port().keep(SPEC);
    done = [];
    await port().drop(SPEC);
    expect(existsSync(join(root, 'etc/systemd/system/mnt-felhom-photos.mount'))).toBe(false);
    expect(existsSync(join(root, 'etc/systemd/system/mnt-felhom-.guests-101-photos.mount'))).toBe(false);
    expect(() => lstatSync(link())).toThrow('ENOENT');
    expect(done).toEqual([
      'udevadm control --reload',
      'systemctl daemon-reload',
      'systemctl reset-failed -- mnt-felhom-photos.mount mnt-felhom-.guests-101-photos.mount',
      'udevadm trigger --action=change --settle --name-match=/dev/sdb1',
    ]);
  });
});

test('a mount that failed, or takes too long, is called off', async () => {
  linkTo('../sdb1');
  const late: RunCommand = async (name, args) => {
    await run(name, args);
    if (args[0] === 'start') throw new Error('late');
    return '';
  };
  const mounts = createSystemdMounts({ run: late, root, specs: () => [SPEC], proc: { mountinfoOf: async () => '' } });
  await expect(mounts.mount(SPEC, '/dev/sdb1')).rejects.toThrow('late');
  expect(done.at(-1)).toBe('systemctl stop --no-block -- mnt-felhom-photos.mount');
});

test('without udev the agent makes the link, and no unit waits for a device', async () => {
  rmSync(join(root, 'run/udev/control'));
  await port().keep(SPEC);
  expect(readFileSync(join(root, 'etc/systemd/system/mnt-felhom-photos.mount'), 'utf8')).not.toContain('BindsTo=');
  expect(existsSync(join(root, 'etc/udev/rules.d/61-felhom.rules'))).toBe(false);
  linkTo('../null');
  await port().mount(SPEC, '/dev/sdb1');
  expect(readlinkSync(link())).toBe('../sdb1');
  expect(done).toEqual(['systemctl daemon-reload', 'systemctl start -- mnt-felhom-photos.mount']);
});

describe('unmounting', () => {
  const MOUNTED =
    '50 1 8:17 / /mnt/felhom/photos rw - ext4 /dev/sdb1 rw\n51 1 8:17 / /mnt/felhom/.guests/101/photos rw - ext4 /dev/sdb1 rw';

  test('what is not mounted is left alone', async () => {
    await port().unmount(SPEC);
    await port().cutOff(SPEC);
    expect(done).toEqual([]);
  });

  test('the guest’s place goes first; systemd’s word is not believed where the mount is still there', async () => {
    mountinfo = MOUNTED;
    await expect(port().unmount(SPEC)).rejects.toThrow('/mnt/felhom/.guests/101/photos is still mounted');
    expect(done).toEqual(['systemctl stop -- mnt-felhom-.guests-101-photos.mount']);
  });

  test('cut off is done by the host’s first process, not in the agent’s own namespace', async () => {
    mountinfo = MOUNTED;
    await expect(port().cutOff(SPEC)).rejects.toThrow('still mounted');
    expect(done).toEqual([
      'systemdRun --quiet --collect --service-type=oneshot -- /usr/bin/umount --no-canonicalize --lazy -- /mnt/felhom/.guests/101/photos',
    ]);
  });
});
