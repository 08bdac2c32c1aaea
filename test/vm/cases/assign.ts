/** A guest's own drive: mounted through systemd by our own link, back after a replug, never taken for another, gone when ejected. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Disk } from '#shared/wire/disks';
import { figure } from '../figures.ts';
import { USB, until, type VmHost } from '../host.ts';
import { SERIALS, WWNS } from '../vm.ts';

const UUID = '6d1f2b0a-57c3-4b6e-9a55-2f0c5f3d7e11';
const WHERE = '/mnt/felhom/photos';
const POINT = '/mnt/felhom/.guests/101/photos';

const MAKE = `set -e
printf 'label: gpt\\n,\\n' | sfdisk -q ${USB}
udevadm settle
mkfs.ext4 -q -U ${UUID} -L photos ${USB}-part1
mkdir -p /run/fill && mount ${USB}-part1 /run/fill && echo hello > /run/fill/hello.txt && umount /run/fill`;

/** A process of the container 101 that has the drive by a bind mount of its own, as one with an `mpN` line has. systemd makes one `$` of two. */
const CONTAINER = `systemd-run --quiet --unit=ct101 unshare --mount --propagation private sh -c '
mkdir -p /sys/fs/cgroup/lxc/101 && echo $$$$ > /sys/fs/cgroup/lxc/101/cgroup.procs
mount --bind ${WHERE} /srv && exec sleep 100000'`;

const WRITER = `systemd-run --quiet --unit=writer sh -c '
while date >> ${WHERE}/log && sync ${WHERE}/log; do sleep 0.2; done'`;

const source = (vm: VmHost['vm'], point = WHERE): Promise<string> => vm.out(`findmnt -n -o SOURCE ${point}`);

export const assignCases = (host: () => VmHost): void => {
  describe("a guest's own drive", () => {
    const assign = (body: object, vmid = 101) =>
      host().post('/disks/assign', { uuid: UUID, where: WHERE, fstype: 'ext4', ...body }, vmid);
    const eject = (vmid = 101) => host().post('/disks/eject', { where: WHERE }, vmid);
    const problems = async (vmid = 101): Promise<string[]> =>
      (await host().get('/problems', vmid)).json.data.problems.map(({ code }: { code: string }) => code);

    const replug = async (): Promise<void> => {
      const { vm, get } = host();
      await vm.usb.pull();
      await vm.waitFor(`! test -e ${USB}`);
      await vm.usb.plug();
      await vm.waitFor(`test -e ${USB}-part1`);
      // Until somebody has looked into it, it is nobody's to take.
      const { json } = await until(
        () => get('/disks'),
        (answer) => answer.json.data?.disks.some((one: Disk) => one.durable_id === `uuid:${UUID}` && one.not_assignable === ''),
      );
      expect(json.data.reason).toBe('');
    };

    beforeAll(async () => {
      await host().vm.out(MAKE);
      await replug();
    });
    afterAll(() => host().vm.run('systemctl stop ct101 writer'));

    test.each([
      ['the backup drive', `blkid -s UUID -o value /dev/disk/by-id/wwn-${WWNS.sata}-part1`],
      ["the host's own drive", 'findmnt -n -o UUID /'],
      ["Proxmox's own files", 'findmnt -n -o UUID /mnt/pve/nvme'],
    ])('%s is refused, and nothing is mounted', async (_what, uuidOf) => {
      const { status, json } = await assign({ uuid: await host().vm.out(uuidOf) });
      expect({ status, ok: json.ok, code: json.code }).toEqual({
        status: 200,
        ok: false,
        code: expect.stringMatching(/^drive-/),
      });
      expect((await host().vm.run(`findmnt ${WHERE}`)).status).toBe(1);
    });

    test('a guest that may not have unowned drives is refused', async () => {
      const { status, json } = await assign({}, 102);
      expect({ status, ok: json.ok }).toEqual({ status: 200, ok: false });
    });

    test('assigned, it is mounted by systemd from our own link, with the options that the agent built', async () => {
      const { vm } = host();
      const before = await vm.clock();
      const { status, json } = await assign({});
      figure('assign', (await vm.clock()) - before);
      expect([status, json.ok, json.error]).toEqual([200, true, '']);
      const device = await source(vm);
      expect(await vm.out(`readlink -f ${USB}-part1`)).toBe(device);
      expect(await vm.out(`readlink -f /dev/felhom/photos.*`)).toBe(device);
      expect(await vm.out('systemctl show -P ActiveState mnt-felhom-photos.mount')).toBe('active');
      const options = await vm.out(`findmnt -n -o OPTIONS ${WHERE}`);
      for (const option of ['nosuid', 'nodev', 'errors=remount-ro']) expect(options).toContain(option);
      expect(await source(vm, POINT)).toBe(device);
      expect(await vm.out(`cat ${POINT}/hello.txt; stat -c %u ${WHERE}`)).toBe('hello\n100000');
    });

    test('another guest cannot eject it', async () => {
      const { json } = await eject(102);
      expect(json).toMatchObject({ ok: false, data: { ejected: false } });
      expect((await host().vm.run(`findmnt ${WHERE}`)).status).toBe(0);
    });

    test("a guest's volume with the same UUID does not take its place, and does not stand in its way", async () => {
      const { vm } = host();
      const device = await source(vm);
      await vm.out(
        `mkfs.ext4 -q -F -U ${UUID} -L EVIL /dev/labvg/vm-101-disk-0 && udevadm trigger --settle /dev/labvg/vm-101-disk-0`,
      );
      // What the host would mount by its UUID is the guest's volume now.
      expect(await vm.out(`readlink -f /dev/disk/by-uuid/${UUID}`)).toMatch(/^\/dev\/dm-\d+$/);
      await vm.out(`systemctl stop mnt-felhom-photos.mount && systemctl start mnt-felhom-photos.mount`);
      expect(await source(vm)).toBe(device);
      figure('shown to the guest again after its unit was restarted', await vm.waitFor(`findmnt ${POINT}`));
      expect(await source(vm, POINT)).toBe(device);
      expect((await eject()).json).toMatchObject({ ok: true, data: { ejected: true } });
      expect((await assign({})).json).toMatchObject({ ok: true, error: '' });
      expect(await source(vm)).toBe(device);
    });

    test('in use it is not ejected, the user is named, and it stays mounted', async () => {
      const { vm } = host();
      await vm.out(`systemd-run --quiet --unit=user --working-directory=${WHERE} sleep 10000`);
      const { json } = await eject();
      expect(json).toMatchObject({ ok: false, code: 'drive-in-use', data: { ejected: false } });
      expect(json.error).toContain('sleep');
      expect((await vm.run(`findmnt ${WHERE}`)).status).toBe(0);
      await vm.out('systemctl stop user');
    });

    test('pulled out while it is written, nothing is written to the host in its place; what still holds it is named', async () => {
      const { vm } = host();
      await vm.out(CONTAINER);
      await vm.out(WRITER);
      // The kernel's files have no size.
      await vm.waitFor(`test -s ${WHERE}/log && grep -q . /sys/fs/cgroup/lxc/101/cgroup.procs`);
      await vm.usb.pull();
      figure('the mount of a drive that was pulled out is gone', await vm.waitFor(`! findmnt ${WHERE}`));
      const { status, err } = await vm.run(`touch ${WHERE}/x`);
      expect([status, err]).toEqual([1, expect.stringContaining('Operation not permitted')]);
      expect(await vm.out(`ls -A ${WHERE}`)).toBe('');
      await until(problems, (codes) => codes.includes('drive-missing') && codes.includes('drive-mount-dead'));
      const { json } = await host().get('/disks');
      expect(json.data.disks).toContainEqual(expect.objectContaining({ serial: SERIALS.usb, state: 'unplugged' }));
    });

    test('plugged in again it is back within 30 s, for the guest too', async () => {
      const { vm } = host();
      const [ms] = await Promise.all([vm.waitFor(`test -s ${WHERE}/log && test -s ${POINT}/log`), vm.usb.plug()]);
      figure('back after a replug', ms);
      expect(ms).toBeLessThan(30_000);
      expect(await source(vm)).toBe(await vm.out(`readlink -f ${USB}-part1`));
      await until(problems, (codes) => !codes.includes('drive-missing'));
    });

    test('ejected, nothing is mounted, the drive is free, and its place cannot be written to', async () => {
      const { vm } = host();
      await vm.run('systemctl stop ct101 writer');
      const { json } = await eject();
      expect(json).toMatchObject({ ok: true, data: { ejected: true } });
      expect((await vm.run(`findmnt ${WHERE}; findmnt ${POINT}`)).out).toBe('');
      expect((await vm.run(`ls /etc/systemd/system/mnt-felhom-photos.mount`)).status).not.toBe(0);
      expect((await vm.run(`touch ${WHERE}/x`)).status).not.toBe(0);
      // Only whoever nobody keeps from it can do this.
      await vm.out(`e2fsck -fn ${USB}-part1`);
    });
  });
};
