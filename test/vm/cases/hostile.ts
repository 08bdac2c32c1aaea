/** A file system that asks the kernel to panic when it is damaged: looked at, mounted and read, and the host lives. */
import { beforeAll, describe, expect, test } from 'vitest';
import type { Disk } from '#shared/wire/disks';
import { USB, until, type VmHost } from '../host.ts';

const UUID = '0b7e4c55-9f37-4d5c-8a5e-3f3f5f1f9a22';
const WHERE = '/mnt/felhom/broken';

/** A directory's block is overwritten: reading it is an error of the file system. tune2fs(8), `-e panic`. */
const MAKE = `set -e
mkfs.ext4 -q -F -U ${UUID} ${USB}-part1
mkdir -p /run/fill && mount ${USB}-part1 /run/fill && mkdir /run/fill/d && touch /run/fill/d/a && umount /run/fill
tune2fs -e panic ${USB}-part1 > /dev/null
block=$(debugfs -R 'blocks /d' ${USB}-part1 2> /dev/null | awk '{print $1}')
size=$(dumpe2fs -h ${USB}-part1 2> /dev/null | awk '/^Block size/{print $3}')
dd if=/dev/urandom of=${USB}-part1 bs=$size seek=$block count=1 conv=notrunc,fsync status=none
sync`;

export const hostileCases = (host: () => VmHost): void => {
  describe('a file system with errors=panic', () => {
    beforeAll(async () => {
      const { vm, get } = host();
      await vm.out(MAKE);
      await vm.usb.pull();
      await vm.waitFor(`! test -e ${USB}`);
      await vm.usb.plug();
      await until(
        () => get('/disks'),
        ({ json }) => json.data?.disks.some((one: Disk) => one.durable_id === `uuid:${UUID}` && one.not_assignable === ''),
      );
    });

    test('was looked at, and the host lives', async () => {
      const { vm } = host();
      expect(vm.runs()).toBe(true);
      expect(await vm.out(`dumpe2fs -h ${USB}-part1 2> /dev/null | grep 'Errors behavior'`)).toContain('Panic');
    });

    test('is mounted so that its damage stops only itself', async () => {
      const { vm } = host();
      const { json } = await host().post('/disks/assign', { uuid: UUID, where: WHERE, fstype: 'ext4' });
      expect([json.ok, json.error]).toEqual([true, '']);
      const { status } = await vm.run(`ls ${WHERE}/d`);
      expect(status).not.toBe(0);
      expect(vm.runs()).toBe(true);
      expect(await vm.out("dmesg | grep -c 'EXT4-fs error'")).not.toBe('0');
      expect((await host().get('/healthz')).status).toBe(200);
      await host().post('/disks/eject', { where: WHERE });
    });
  });
};

/** Last of all, for it ends the machine: what the agent kept from happening does happen without its options. */
export const panicCase = (host: () => VmHost): void =>
  test('mounted by its own options, the same file system takes the host down', async () => {
    const { vm } = host();
    await vm.run(`mount -o ro ${USB}-part1 /run/fill && ls /run/fill/d; sleep 5`);
    await until(
      async () => vm.runs(),
      (runs) => !runs,
    );
  });
